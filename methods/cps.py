"""CPS: Chen et al., Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision, CVPR 2021.

Two networks of one architecture with different initial weights, each labelled by the other on unlabelled images:
    L = sum_i L_sup(z_i, y) + w (CE(z_1, argmax z_2) + CE(z_2, argmax z_1)), w = consistency x ramp
Pseudo labels carry no gradient. One optimiser and one schedule serve both; the first network is tested.

Formulas and defaults as in SSL4MIS, where the method's numbers on ACDC come from. The paper itself has weight 1.5 on
labelled and unlabelled images, and CutMix. Deviations: the ramp is smooth unless `ramp_stairs` is set (200: SSL4MIS);
both networks start from torch's default initialisation, in SSL4MIS from Kaiming's and Xavier's.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from harness.api.consistency import ConsistencyParams
from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import backbone
from harness.api.progress import Progress


class CPS(Method):
    """Two networks that label unlabelled images for each other; the first one is tested."""

    name = "cps"
    capturable = True
    engine_loss = True
    paper = "Chen et al., Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision, CVPR 2021"
    Params = ConsistencyParams

    def __init__(self, task: Task, params: ConsistencyParams) -> None:
        super().__init__(task)
        self.params = params
        self.first = backbone(task)
        self.second = backbone(task)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        return {"consistency_weight": self.params.weight(progress)}

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """Both L_sup and the labels of the other; terms: ce and dice of the first network, ce_2, dice_2, pseudo."""
        n_labelled = len(batch.images)
        images = torch.cat((batch.images, *batch.unlabelled))
        first, second = self.first(images), self.second(images)
        own, other = (self.labelled_loss(logits[:n_labelled], batch.labels) for logits in (first, second))
        ours, theirs = first[n_labelled:], second[n_labelled:]
        pseudo = F.cross_entropy(ours, theirs.argmax(dim=1)) + F.cross_entropy(theirs, ours.argmax(dim=1))
        total = own.total + other.total + progress["consistency_weight"] * pseudo
        terms = {**own.terms, **{f"{name}_2": term for name, term in other.terms.items()}, "pseudo": pseudo}
        return Loss(total, terms)

    @property
    def predictor(self) -> nn.Module:
        return self.first

    @property
    def pseudo_label_network(self) -> nn.Module:
        """The second network, from which the first one learns."""
        return self.second
