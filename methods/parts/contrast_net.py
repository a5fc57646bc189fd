"""What ACTION trains, and what its teacher averages: the common network with the heads of all three stages."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn

from harness.spec.task import Task
from methods.nets.factory import backbone
from methods.nets.unet import WIDTHS
from methods.parts.bank import Bank
from methods.parts.distillation import distillation_loss
from methods.parts.heads import (
    GlobalProjector,
    LocalProjector,
    RepresentationHead,
    SampledFeatures,
    global_predictor,
    local_predictor,
    windows,
)

GLOBAL_FEATURES = 512
CELLS = {2: 8, 3: 4}
"""Cells along a side of a pooled window, by the task's dimension."""


class Seen(NamedTuple):
    """Decoder maps, coarse to fine, and logits [N, n_classes, *size] of images."""

    maps: list[Tensor]
    logits: Tensor


class ContrastNet(nn.Module):
    """Backbone and heads; the backbone first, so that its initial weights are every method's.

    features:      dimension d of a pixel's representation.
    window_border: False leaves out the last window of each axis.
    """

    def __init__(self, task: Task, features: int, window_border: bool) -> None:
        super().__init__()
        self.backbone = backbone(task)
        self.whole = GlobalProjector(WIDTHS[-1], features=GLOBAL_FEATURES)
        self.local = LocalProjector(task.n_classes, CELLS[task.dimension])
        self.representation = RepresentationHead(sum(WIDTHS), task.dimension, features=features)
        self.window_border = window_border

    def forward(self, images: Tensor) -> Seen:
        """Images [N, C, *size] -> what the heads look at."""
        maps = self.backbone.decoder.maps(self.backbone.encode(images))
        return Seen(maps, self.backbone.decoder.logits(maps))

    def regions(self, logits: Tensor) -> Tensor:
        """Logits [N, C, *size] -> [N, W, cells, C] by windows of a quarter of the side at strides of an eighth."""
        size = logits.shape[2:]
        crops = windows(logits, [n // 4 for n in size], [n // 8 for n in size], self.window_border)
        vectors: Tensor = self.local(crops)
        return vectors

    def pixels(self, maps: list[Tensor]) -> SampledFeatures:
        """Representations of the pixels of decoder maps, computed where they are asked for."""
        return SampledFeatures(self.representation, maps)


class Neighbours(nn.Module):
    """One distillation: the student's predictor and the bank of what the teacher said of earlier images.

    shape: of one image's vectors, (D,) or (W, D); predictor: from the student's projection to that shape.
    """

    def __init__(self, predictor: nn.Module, size: int, *shape: int) -> None:
        super().__init__()
        self.predictor = predictor
        self.bank = Bank(size, *shape)

    def forward(self, student: Tensor, teacher: Tensor, temperatures: tuple[float, float]) -> Tensor:
        """KL(teacher || student) over the bank's neighbours; then the teacher's vectors [N, *shape] enter the bank.

        temperatures: the student's, the teacher's.
        """
        predicted = self.predictor(student)
        loss = distillation_loss(predicted, teacher, self.bank.entries, self.bank.filled, *temperatures)
        self.bank.enqueue(teacher)
        return loss


def global_neighbours(bank: int) -> Neighbours:
    """Of whole images, one vector each, in a bank of that many."""
    return Neighbours(global_predictor(GLOBAL_FEATURES), bank, GLOBAL_FEATURES)


def local_neighbours(task: Task, bank: int, window_border: bool) -> Neighbours:
    """Of the windows of images of the task's size, in a bank of that many images."""
    count = math.prod((n - n // 4) // (n // 8) + window_border for n in task.size)
    predictor = nn.Sequential(local_predictor(task.n_classes), nn.Flatten(2))
    return Neighbours(predictor, bank, count, CELLS[task.dimension] ** task.dimension * task.n_classes)
