"""What ACTION trains, and what its teacher averages: the common network with the heads of all three stages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.networks import WIDTHS, backbone
from harness.api.progress import Scalar
from methods.action_parts.bank import Bank
from methods.action_parts.distillation import distillation_loss
from methods.action_parts.heads import (
    GlobalProjector,
    LocalProjector,
    RepresentationHead,
    SampledFeatures,
    global_predictor,
    local_predictor,
    window_layout,
    windows,
)


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Widths that the release gives its heads; in 3D its global projector reads the decoder, here the bottleneck.

    hidden, whole: of the global projector and of what it says of an image.
    cells:         along a side of a pooled window.
    wide:          of the representation head's first layer.
    """

    hidden: int
    whole: int
    cells: int
    wide: int


SIZES = {2: HeadSizes(hidden=256, whole=512, cells=8, wide=512), 3: HeadSizes(hidden=128, whole=128, cells=4, wide=128)}
"""By the task's dimension."""


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
        sizes = SIZES[task.dimension]
        self.backbone = backbone(task)
        self.whole = GlobalProjector(WIDTHS[-1], sizes.hidden, sizes.whole)
        self.local = LocalProjector(task.n_classes, sizes.cells)
        channels = sum(self.backbone.decoder.channels)
        self.representation = RepresentationHead(channels, task.dimension, sizes.wide, features)
        self.window_border = window_border

    def forward(self, images: Tensor) -> Seen:
        """Images [N, C, *size] -> what the heads look at."""
        maps = self.backbone.decoder.maps(self.backbone.encode(images))
        return Seen(maps, self.backbone.decoder.logits(maps))

    def regions(self, logits: Tensor) -> Tensor:
        """Logits [N, C, *size] -> [N, W, cells, C] by windows."""
        crops = windows(logits, *window_layout(logits.shape[2:]), self.window_border)
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

    def forward(self, student: Tensor, teacher: Tensor, temperatures: tuple[Scalar, Scalar]) -> Tensor:
        """KL(teacher || student) over the bank's neighbours; then the teacher's vectors [N, *shape] enter the bank.

        temperatures: the student's, the teacher's.
        """
        predicted = self.predictor(student)
        loss = distillation_loss(predicted, teacher, self.bank.entries, self.bank.filled, *temperatures)
        self.bank.enqueue(teacher)
        return loss


def global_neighbours(task: Task, bank: int) -> Neighbours:
    """Of whole images, one vector each, in a bank of that many."""
    width = SIZES[task.dimension].whole
    return Neighbours(global_predictor(width), bank, width)


def local_neighbours(task: Task, bank: int, window_border: bool) -> Neighbours:
    """Of the windows of images of the task's size, in a bank of that many images."""
    layout = zip(task.size, *window_layout(task.size), strict=True)
    count = math.prod((n - window) // stride + window_border for n, window, stride in layout)
    predictor = nn.Sequential(local_predictor(task.n_classes), nn.Flatten(2))
    return Neighbours(predictor, bank, count, SIZES[task.dimension].cells ** task.dimension * task.n_classes)
