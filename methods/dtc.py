"""DTC: Luo et al., Semi-supervised Medical Image Segmentation through Dual-task Consistency, AAAI 2021.

A second head on the last map, tanh of one channel s_c a foreground class, learns signed distances; its border, where
it changes sign, must be the segmentation's:
    L = Dice + beta mean((s - t)^2) (labelled images) + w mean((sigmoid(-k s) - p)^2) (all images), k = 1500
t_c is the signed distance of class c, above 0 outside, over its largest value on either side; p_c the probability of a
foreground class; w = consistency x ramp. Cross-entropy is logged and not trained. The head is dropped after training.

Formulas and defaults as in the authors' release for LA, where one class and a sigmoid stand for the two of a softmax.
Distances are exact and made on the device in the step, since augmentation has moved the labels.
Deviations: the ramp is smooth unless `ramp_stairs` is set (40: the release); the Dice is that of all methods, in the
release the foreground's alone, without squares; the V-Net drops channels for either head apart.
An own reading is more than one foreground class, and with it 2D: a channel and a map for each, averaged.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.consistency import ConsistencyParams
from harness.api.dataset import Task
from harness.api.losses import dice_loss, one_hot
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import VNET_DROPOUT, WIDTHS, backbone
from harness.api.params import hyper
from harness.api.progress import Progress
from methods.shared.distance import signed_distances


class DTCParams(ConsistencyParams):
    """Hyper-parameters of DTC; the defaults are the release's."""

    consistency: float = hyper(1.0, "final weight of the consistency", ge=0, search=(0.1, 10.0), scale="log")
    distance_weight: float = hyper(0.3, "beta, weight of the distances", ge=0, search=(0.1, 1.0), scale="log")
    steepness: float = hyper(1500.0, "k, of the sigmoid from distance to probability", gt=0)


class DualTask(nn.Module):
    """A backbone and a head for distances on its last map."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.backbone = backbone(task)
        width, outputs = WIDTHS[0], task.n_classes - 1
        self.head: nn.Module = (
            nn.Conv2d(width, outputs, kernel_size=3, padding=1)
            if task.dimension == 2
            else nn.Sequential(nn.Dropout3d(VNET_DROPOUT), nn.Conv3d(width, outputs, kernel_size=1))
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, *size] -> logits [N, n_classes, *size] and distances [N, n_classes - 1, *size] in [-1, 1]."""
        maps = self.backbone.decoder.maps(self.backbone.encode(images))
        logits = self.backbone.decoder.logits(maps)
        return logits, self.head(maps[-1]).to(logits.dtype).tanh()


def class_distances(labels: Tensor, n_classes: int) -> Tensor:
    """Signed distances of each foreground class: [N, *size] int64 -> [N, n_classes - 1, *size] in [-1, 1]."""
    masks = one_hot(labels, n_classes, first=1)
    return signed_distances(masks.flatten(0, 1)).view(masks.shape)


def task_consistency(distances: Tensor, probabilities: Tensor, steepness: float) -> Tensor:
    """Mean squared difference of sigmoid(-k s) and foreground probabilities, [N, n_classes - 1, *size] -> scalar."""
    return F.mse_loss(torch.sigmoid(-steepness * distances), probabilities)


class DTC(Method):
    """Segmentation and signed distances that must agree; the segmentation is tested."""

    name = "dtc"
    capturable = True
    paper = "Luo et al., Semi-supervised Medical Image Segmentation through Dual-task Consistency, AAAI 2021"
    Params = DTCParams

    def __init__(self, task: Task, params: DTCParams) -> None:
        super().__init__(task)
        self.params = params
        self.net = DualTask(task)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        return {"consistency_weight": self.params.weight(progress)}

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """Dice, distances and their consistency; terms: dice, distance, consistency, ce."""
        n_labelled = len(batch.images)
        logits, distances = self.net(torch.cat((batch.images, *batch.unlabelled)))
        probabilities = logits.softmax(dim=1)
        dice = dice_loss(probabilities[:n_labelled], batch.labels)
        distance = F.mse_loss(distances[:n_labelled], class_distances(batch.labels, self.task.n_classes))
        consistency = task_consistency(distances, probabilities[:, 1:], self.params.steepness)
        total = dice + self.params.distance_weight * distance + progress["consistency_weight"] * consistency
        ce = F.cross_entropy(logits[:n_labelled].detach(), batch.labels)
        return Loss(total, {"dice": dice, "distance": distance, "consistency": consistency, "ce": ce})

    @property
    def predictor(self) -> nn.Module:
        """The network without the head for distances."""
        return self.net.backbone
