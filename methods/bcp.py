"""BCP: Bai et al., Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation, CVPR 2023.

M is 0 inside a box of 2/3 of each side at a uniform place and 1 outside, one for all images of a step.
    labelled       x = M a + (1 - M) b of two labelled images; L = (D_a + D_b + C_a + C_b) / 2
    self_training  x_u = M u + (1 - M) a, x_l = M b + (1 - M) v of unlabelled u, v; labels of u and v are the teacher's
                   L = (sum of D + C over the labelled parts + w (sum over the pseudo-labelled parts)) / 2, w = 0.5
D and C are Dice and mean cross-entropy of one part of the mixed images, Dice with sums over the batch and a mean over
all classes. Pseudo labels are the largest component of each class and image (8 neighbours, 26 in 3D). The teacher is
the student's average, batch-norm buffers included, and stays in train mode; x_u and x_l are two forwards, u and v too.

Formulas and defaults as in the authors' release. The stages have 10,000 and 30,000 steps there, a quarter and three
quarters of the budget here (2,000 and 15,000 on LA).
Deviations: self-training starts from the last weights of the first stage, not from those of its best validation, and
with fresh momentum. The first stage mixes a whole batch of labelled images, the release half of one. Of the images of a
stream the first half is a and the second b; the middle one of an odd number is both. The optimiser is the engine's, in
the release a constant rate of 0.01. On LA the release's Dice is that of probabilities without squares and smoothed by
1e-5; here it is that of ACDC, with squares and smoothed by 1e-10. The smoothing matters: many parts lack a class, and
with 1e-5, as in version 1, the loss pays for losing that class everywhere (200 steps of copy-paste on ACDC at 96 x 96
with 3 labelled patients, at two learning rates: 11 and 15 % validation Dice with 1e-5, 34 and 38 % with 1e-10).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.components import largest_components
from harness.api.consistency import ema_update, teacher_of
from harness.api.dataset import Task
from harness.api.losses import masked_dice_loss
from harness.api.method import Batch, BatchPlan, Loss, Method, Stage
from harness.api.mixing import box_mask
from harness.api.networks import backbone
from harness.api.params import Alteration, hyper
from harness.api.progress import Progress
from harness.api.staged import StagedParams, rate, share

SMOOTH = 1e-10
"""Of the Dice of a part."""


class BCPParams(StagedParams):
    """Hyper-parameters of BCP; the defaults are the release's."""

    share_labelled: float = share(0.25, "the first stage")
    share_self_training: float = share(0.75, "self-training")
    rate_labelled: float = rate("the first stage")
    rate_self_training: float = rate("self-training")
    pseudo_weight: float = hyper(0.5, "w, weight of pseudo-labelled parts", ge=0, search=(0.1, 1.0), scale="log")
    box: float = hyper(2 / 3, "sides of the box over those of the image", ge=0.1, le=0.9, search=(0.4, 0.9))
    ema_decay: float = hyper(
        0.99, "the teacher's decay per step", ge=0, le=1, search=(0.9, 0.99, 0.999), scale="choice"
    )
    largest_component: bool = hyper(True, "pseudo labels keep the largest component of each class")


class PartLosses(NamedTuple):
    """Losses of the two parts of mixed images, where M is true and where it is not, each [2]."""

    dice: Tensor
    ce: Tensor


def part_losses(logits: Tensor, labels: Tensor, mask: Tensor) -> PartLosses:
    """Dice and cross-entropy of either part of mixed images: logits [N, C, *size], labels [N, *size], mask [*size]."""
    log_probabilities = logits.log_softmax(dim=1)
    probabilities = log_probabilities.exp()
    pixelwise = F.nll_loss(log_probabilities, labels, reduction="none").mean(dim=0)
    dice = [masked_dice_loss(probabilities, labels, part, SMOOTH) for part in (mask, ~mask)]
    ce = [(pixelwise * part).sum() / part.sum().clamp(min=1) for part in (mask, ~mask)]
    return PartLosses(torch.stack(dice), torch.stack(ce))


def halves(images: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return images[:count], images[-count:]


class BCP(Method):
    """Labelled and unlabelled images pasted on each other, both ways; the student is tested."""

    name = "bcp"
    version = 2
    capturable = True
    paper = "Bai et al., Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation, CVPR 2023"
    Params = BCPParams

    def __init__(self, task: Task, params: BCPParams) -> None:
        super().__init__(task)
        self.params = params
        self.student = backbone(task)
        self.teacher = teacher_of(self.student)

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.params.stages()

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        return ("mixed",)

    def batches(self, stage: Stage, batch_size: int) -> BatchPlan:
        """Labelled images alone in the first stage, then half of each."""
        if stage.name == "labelled":
            return BatchPlan(labelled=batch_size, unlabelled=0)
        return super().batches(stage, batch_size)

    def start_stage(self, stage: Stage) -> None:
        if stage.name == "self_training":
            self.teacher.load_state_dict(self.student.state_dict())

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """The stage's loss; terms: dice and ce of labelled parts, pseudo_dice and pseudo_ce, each a sum of parts."""
        mask = self._mask(batch.images)
        if stage.name == "labelled":
            count = (len(batch.images) + 1) // 2
            (a, b), (label_a, label_b) = halves(batch.images, count), halves(batch.labels, count)
            parts = self._part_losses(mask, (a, label_a), (b, label_b))
            dice, ce = parts.dice.sum(), parts.ce.sum()
            return Loss(0.5 * (dice + ce), {"dice": dice, "ce": ce})
        return self._self_train(batch, mask)

    def _self_train(self, batch: Batch, mask: Tensor) -> Loss:
        (unlabelled,) = batch.unlabelled
        count = (min(len(batch.images), len(unlabelled)) + 1) // 2
        (a, b), (label_a, label_b) = halves(batch.images, count), halves(batch.labels, count)
        u, v = halves(unlabelled, count)
        from_pseudo = self._part_losses(mask, (u, self._pseudo_label(u)), (a, label_a))
        from_given = self._part_losses(mask, (b, label_b), (v, self._pseudo_label(v)))
        dice, ce = from_pseudo.dice[1] + from_given.dice[0], from_pseudo.ce[1] + from_given.ce[0]
        pseudo_dice, pseudo_ce = from_pseudo.dice[0] + from_given.dice[1], from_pseudo.ce[0] + from_given.ce[1]
        total = 0.5 * (dice + ce + self.params.pseudo_weight * (pseudo_dice + pseudo_ce))
        return Loss(total, {"dice": dice, "ce": ce, "pseudo_dice": pseudo_dice, "pseudo_ce": pseudo_ce})

    def after_step(self, stage: Stage, progress: Progress) -> None:
        """Teacher <- moving average of the student, once there is one to average."""
        if stage.name == "self_training":
            ema_update(self.teacher, self.student, self.params.ema_decay, buffers=True)

    @property
    def predictor(self) -> nn.Module:
        """The student, as in the release."""
        return self.student

    @property
    def pseudo_label_network(self) -> nn.Module:
        return self.teacher

    def _mask(self, images: Tensor) -> Tensor:
        """M for images [N, C, *size]: bool [*size]."""
        size = images.shape[2:]
        sides = [math.floor(side * self.params.box + 1e-9) for side in size]  # 2 / 3 of 33 falls just below 22
        places = torch.rand(1, len(size), device=images.device)
        return ~box_mask(places, torch.stack([places.new_full((1,), side) for side in sides], dim=1), size)[0]

    def _part_losses(self, mask: Tensor, shown: tuple[Tensor, Tensor], below: tuple[Tensor, Tensor]) -> PartLosses:
        """Images and labels of `shown` where the mask [*size] is true, of `below` elsewhere."""
        images, labels = (torch.where(mask, *pair) for pair in zip(shown, below, strict=True))
        return part_losses(self.student(images), labels, mask)

    @torch.no_grad()
    def _pseudo_label(self, images: Tensor) -> Tensor:
        """The teacher's labels [U, *size] of unlabelled images [U, channels, *size]."""
        labels: Tensor = self.teacher(images).argmax(dim=1)
        return largest_components(labels, self.task.n_classes) if self.params.largest_component else labels
