"""SS-Net: Wu et al., Exploring Smoothness and Class-Separation for Semi-supervised Medical Segmentation, MICCAI 2022.

One network, no teacher:
    L = Dice (labelled images) + w (L_vat + 0.1 (L_l + L_u)), w = consistency x ramp
    L_vat: soft Dice between the predictions of x and x + r d on all images, d the direction of unit norm that moves the
        prediction most, by one power step of length xi = 10 from a random one; r = 6
    L_l, L_u: for the pixels of labelled images by their labels, and of unlabelled ones by the network's, the mean of
        1 - cos between a pixel's feature and the memory of its class, with learned weights, over all classes
A pixel's feature is q(g(h)) of the last 16-channel map h: g is 16-32-32 and q 32-32-32, each Linear, batch norm, ReLU,
Linear. A memory holds 32 features g(h), in evaluation mode, of correctly predicted foreground pixels of the last batch.
Cross-entropy is logged and not trained. Heads and memory are dropped after training.

Formulas and defaults as in the authors' release for ACDC (LA: radius 10, consistency 1). As there the memory keeps the
features that its selector scores lowest, though a comment says highest (`memory_keeps`), background has no memory, and
the loss is a mean over all classes.
Deviations: the clean prediction is that of the step's own forward, in the release that of one more, with other dropout.
Memory entries have their learned weights; the release scales each of these by itself, which makes all of them 1. The
ramp is smooth unless `ramp_stairs` is set (200: the release). On LA the release's Dice losses are the foreground's
alone, without squares; here they are those of 2D.
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.consistency import ConsistencyParams
from harness.api.dataset import Task
from harness.api.losses import dice_loss
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import WIDTHS, backbone
from harness.api.params import Alteration, hyper
from harness.api.progress import Progress
from methods.action_parts.arithmetic import unrounded
from methods.shared.adversarial import adversarial_loss
from methods.shared.class_memory import ClassMemory, class_rows

FEATURES = 32


class SSNetParams(ConsistencyParams):
    """Hyper-parameters of SS-Net; the defaults are those for ACDC."""

    radius: float = hyper(6.0, "r, norm of the adversarial step", gt=0, search=(1.0, 20.0), scale="log")
    probe: float = hyper(10.0, "xi, norm of the random step that finds its direction", gt=0)
    contrast_weight: float = hyper(0.1, "weight of L_l and L_u beside L_vat", ge=0, search=(0.01, 1.0), scale="log")
    memory: int = hyper(32, "features in the memory of a class", ge=2, le=256)
    memory_keeps: Literal["lowest", "highest"] = hyper("lowest", "which scores of its selector the memory keeps")


def head(inputs: int) -> nn.Sequential:
    """Linear, batch norm, ReLU, Linear, row by row: [P, inputs] -> [P, 32]."""
    hidden = nn.Linear(inputs, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU(inplace=True)
    return nn.Sequential(*hidden, nn.Linear(FEATURES, FEATURES))


def as_rows(maps: Tensor) -> Tensor:
    """[N, C, *size] -> one row a pixel, [N * pixels, C], float32 under autocast too."""
    return maps.movedim(1, -1).flatten(0, -2).float()


class SSNet(Method):
    """Predictions that no small step moves, features that gather by class; the network without heads is tested."""

    name = "ss_net"
    capturable = True
    paper = "Wu et al., Exploring Smoothness and Class-Separation for Semi-supervised Segmentation, MICCAI 2022"
    Params = SSNetParams

    def __init__(self, task: Task, params: SSNetParams) -> None:
        super().__init__(task)
        self.params = params
        self.net = backbone(task)
        self.projection, self.prediction = head(WIDTHS[0]), head(FEATURES)
        keep_highest = params.memory_keeps == "highest"
        self.memory = ClassMemory(task.n_classes, params.memory, FEATURES, keep_highest=keep_highest)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        return ("altered",)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        return {"consistency_weight": self.params.weight(progress)}

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """Dice, smoothness and separation; terms: dice, adversarial, separation_labelled, separation_unlabelled, ce."""
        n_labelled = len(batch.images)
        images = torch.cat((batch.images, *batch.unlabelled))
        maps = self.net.decoder.maps(self.net.encode(images))
        logits = self.net.decoder.logits(maps)
        probabilities = logits.softmax(dim=1)
        with unrounded(images):  # class means are sums over many pixels
            separation = self._separation(maps[-1], logits.detach().argmax(dim=1), batch.labels)
        adversarial = adversarial_loss(self.net, images, probabilities.detach(), self.params.probe, self.params.radius)
        dice = dice_loss(probabilities[:n_labelled], batch.labels)
        unlabelled = adversarial + self.params.contrast_weight * separation.sum()
        terms = {"dice": dice, "adversarial": adversarial}
        terms |= {"separation_labelled": separation[0], "separation_unlabelled": separation[1]}
        terms["ce"] = F.cross_entropy(logits[:n_labelled].detach(), batch.labels)
        return Loss(dice + progress["consistency_weight"] * unlabelled, terms)

    def _separation(self, features: Tensor, predicted: Tensor, labels: Tensor) -> Tensor:
        """L_l and L_u of the last map of all images, their predicted labels and the given ones -> [2]."""
        n_labelled, n_classes = len(labels), self.task.n_classes
        given, guessed = labels.flatten(), predicted[n_labelled:].flatten()
        correct = (predicted[:n_labelled].flatten() == given) & (given > 0)
        rows = [as_rows(part) for part in features.tensor_split((n_labelled,))]
        self.memory.update(self._project_for_memory(rows[0]), class_rows(given, correct, n_classes))
        losses = [
            self.memory.loss(self.prediction(self.projection(part)), class_rows(own, own >= 0, n_classes))
            for part, own in zip(rows, (given, guessed), strict=True)
        ]
        return torch.stack(losses)

    @torch.no_grad()
    def _project_for_memory(self, rows: Tensor) -> Tensor:
        """By running statistics: [P, 16] -> [P, 32]."""
        self.projection.eval()
        projected: Tensor = self.projection(rows)
        self.projection.train()
        return projected

    @property
    def predictor(self) -> nn.Module:
        return self.net
