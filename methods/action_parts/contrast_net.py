"""What ACTION and ACTION++ train, and what their teacher averages: the common network with the heads of all stages.

The heads are not used at test time. Sizes and the absence of non-linearities as in the authors' release, although the
papers call the heads non-linear. All layers are `nn.Linear`: a 1x1 convolution is one on channels, a 3x3 convolution
one on patches, with the same initialisation, in any number of dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.networks import WIDTHS, backbone
from methods.action_parts.arithmetic import single, unrounded
from methods.action_parts.representation import RepresentationHead, SampledFeatures

RELEASED_WINDOWS = {2: (64, (256, 256)), 3: (20, (112, 112, 80))}
"""Side of a window in images of that size, by dimension."""


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


class GlobalProjector(nn.Module):
    """Mean over the pixels of a map, then two linear layers: [N, channels, *size] -> [N, features]."""

    def __init__(self, channels: int = 256, hidden: int = 256, features: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.Linear(hidden, features))

    def forward(self, features: Tensor) -> Tensor:
        """The bottleneck's map -> one vector an image."""
        vectors: Tensor = self.layers(features.flatten(2).mean(2))
        return vectors


def window_layout(size: Sequence[int]) -> tuple[list[int], list[int]]:
    """Window and stride of images of `size`: the release's geometry, in proportion on other sizes than its own.

    In 2D a quarter of each side at strides of an eighth, in 3D 20 of 112, 112 and 80 voxels at strides of 10.
    """
    side, whole = RELEASED_WINDOWS[len(size)]
    pairs = list(zip(size, whole, strict=True))
    return [n * side // m for n, m in pairs], [n * (side // 2) // m for n, m in pairs]


def window_cells(
    logits: Tensor, window: Sequence[int], stride: Sequence[int], side: int, border: bool = True
) -> Tensor:
    """Sliding windows that fit the image, each averaged in side^d cells: [N, C, *size] -> [N, W, side^d, C].

    border: False leaves out the last window of each axis, as the release does in 2D (36 windows of 64 at 256 x 256, the
    last 32 rows and columns in none) and not in 3D (700 windows); the reading is to cover it in both (49 in 2D).

    Cells are those of adaptive pooling. Averages are separable: a product for each axis, and no window is ever copied.
    """
    dimension = len(window)
    with unrounded(logits):
        cells = single(logits)
        for layout in zip(logits.shape[2:], window, stride, strict=True):
            averages = _cell_averages(*layout, side, border, cells)
            cells = torch.tensordot(cells, averages, dims=([2], [1]))  # the next axis comes first, its cells go last
    for axis in range(2, 2 + 2 * dimension, 2):
        cells = cells.unflatten(axis, (-1, side))  # [N, C, windows, side, windows, side, ...]
    windows, places = range(2, 2 + 2 * dimension, 2), range(3, 3 + 2 * dimension, 2)
    ordered = cells.permute(0, *windows, *places, 1)
    return ordered.flatten(1, dimension).flatten(2, 1 + dimension)


def _cell_averages(length: int, window: int, stride: int, side: int, border: bool, like: Tensor) -> Tensor:
    """Along one axis the mean over each cell of each window: [windows x side, length]."""
    starts = torch.arange(0, length - window + 1, stride, device=like.device).unsqueeze(1)
    starts = starts if border else starts[:-1]
    cell = torch.arange(side, device=like.device)
    first, end = starts + cell * window // side, starts - -(cell + 1) * window // side
    pixels = torch.arange(length, device=like.device)
    inside = (pixels >= first.view(-1, 1)) & (pixels < end.view(-1, 1))
    return inside.to(like.dtype) / inside.sum(1, keepdim=True)


class LocalProjector(nn.Module):
    """Windows of logits in side^d cells, then two linear layers on the classes: C -> 2C -> C."""

    def __init__(self, n_classes: int, side: int = 8) -> None:
        super().__init__()
        self.side = side
        self.layers = nn.Sequential(nn.Linear(n_classes, 2 * n_classes), nn.Linear(2 * n_classes, n_classes))

    def forward(self, logits: Tensor, window: Sequence[int], stride: Sequence[int], border: bool = True) -> Tensor:
        """Logits [N, C, *size] -> [N, W, side^d, C]; flatten the last two axes to one vector."""
        vectors: Tensor = self.layers(window_cells(logits, window, stride, self.side, border))
        return vectors


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
        vectors: Tensor = self.local(logits, *window_layout(logits.shape[2:]), self.window_border)
        return vectors

    def pixels(self, maps: list[Tensor]) -> SampledFeatures:
        """Representations of the pixels of decoder maps, computed where they are asked for."""
        return SampledFeatures(self.representation, maps)
