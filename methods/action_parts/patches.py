"""3x3 neighbourhoods of feature maps at chosen pixels of the full image, without the upsampled maps.

A representation head convolves decoder maps that were upsampled to the image. Upsampling is linear and separable: along
one axis a fine position and its two neighbours depend on a few coarse cells (three, where the map is at most half as
fine), so a patch is 3^d gathered cells and a small matrix of weights. Reading of a point that the papers leave open:
(bi-, tri-)linear with aligned corners, as the U-Net's own decoder. Beyond the border the upsampled maps are zero.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from methods.action_parts.arithmetic import single

NEIGHBOURS = 3

SHIFTED = 1 << 26
"""Values of shifted masks at a time in sums of patches: 268 MB."""


class AxisTaps(NamedTuple):
    """What one axis of a map contributes to each fine position and its two neighbours.

    cells:   [fine, width] places on the coarse axis.
    weights: [fine, 3, width] their share in the neighbour before, the position itself and the neighbour after.
    """

    cells: Tensor
    weights: Tensor


def tap_width(fine: int, coarse: int) -> int:
    """Coarse cells that three consecutive fine positions touch at most: they span 2 (coarse - 1) / (fine - 1) cells."""
    if fine == coarse or 2 * (coarse - 1) <= fine - 1:
        return 3
    return 4


def axis_taps(fine: int, coarse: int, like: Tensor) -> AxisTaps:
    """Linear interpolation from `coarse` to `fine` >= `coarse` positions with aligned corners, on `like`'s device."""
    dtype = torch.promote_types(like.dtype, torch.float32)  # the arithmetic of F.interpolate
    ratio = (coarse - 1) / max(fine - 1, 1)
    positions = torch.arange(-1, fine + 1, device=like.device)
    inside = (positions >= 0) & (positions < fine)
    places = positions.to(dtype) * ratio
    lower = places.floor().clamp(0, coarse - 1)
    upper_share = ((places - lower) * inside).unfold(0, NEIGHBOURS, 1).unsqueeze(2)
    lower_share = ((1 - places + lower) * inside).unfold(0, NEIGHBOURS, 1).unsqueeze(2)
    first = lower.long().unfold(0, NEIGHBOURS, 1)
    taps = torch.arange(tap_width(fine, coarse), device=like.device)
    offset = (first - first[:, :1]).unsqueeze(2)
    weights = lower_share * (offset == taps) + upper_share * (offset + 1 == taps)
    return AxisTaps((first[:, :1] + taps).clamp(max=coarse - 1), weights)


class MapPatches:
    """Patches of one map [N, C, *coarse] at the pixels of images of `size`."""

    def __init__(self, features: Tensor, size: Sequence[int]) -> None:
        self.images, self.channels, *self.coarse = features.shape
        self.rows = features.movedim(1, -1).reshape(-1, self.channels)  # a cell's channels side by side
        self.width = NEIGHBOURS ** len(self.coarse) * self.channels
        self.axes = [axis_taps(n, m, features) for n, m in zip(size, self.coarse, strict=True)]
        self.cells, self.weights = zip(*map(self._spread, range(len(size))), strict=True)

    def _spread(self, axis: int) -> tuple[Tensor, Tensor]:
        """An axis's share of cells [fine, J] and weights [fine, 3^d, J], to be added and multiplied over axes."""
        dimension, taps = len(self.axes), self.axes[axis]
        widths = [other.cells.shape[1] for other in self.axes]
        offset, cell = [1] * dimension, [1] * dimension
        offset[axis], cell[axis] = NEIGHBOURS, widths[axis]
        cells = taps.cells.view(-1, *cell) * math.prod(self.coarse[axis + 1 :])
        weights = taps.weights.view(-1, *offset, *cell).expand(-1, *[NEIGHBOURS] * dimension, *widths)
        return cells.expand(-1, *widths).flatten(1), weights.flatten(1, dimension).flatten(2)

    def taps(self, image: Tensor, coordinates: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Image [P] and coordinates, d of [P] -> the cells of each pixel [P, J] and their weights [P, 3^d, J]."""
        cells = reduce(torch.add, [axis[place] for axis, place in zip(self.cells, coordinates, strict=True)])
        weights = reduce(torch.mul, [axis[place] for axis, place in zip(self.weights, coordinates, strict=True)])
        return cells + image.unsqueeze(1) * math.prod(self.coarse), weights

    def at(self, image: Tensor, coordinates: Sequence[Tensor]) -> Tensor:
        """Image [P] and coordinates, d of [P] -> [P, 3^d C], neighbour by neighbour, the last axis fastest."""
        index, weights = self.taps(image, coordinates)
        patches: Tensor = weights @ self.rows[index]
        return patches.flatten(1)

    def sums(self, masks: Tensor) -> Tensor:
        """Sum of the patches at the pixels of each mask: [K, N, *size] of 0 and 1 -> [K, 3^d C].

        sum_p m(p) U(x)(p + o) = sum_q x(q) U'(m shifted by o)(q): the adjoint is applied to K masks where upsampling
        would run over all channels. A few images at a time, where all of them would take too much memory.
        """
        at_once = max(SHIFTED // (NEIGHBOURS ** len(self.coarse) * masks[:, 0].numel()), 1)
        rows = single(self.rows).unflatten(0, (self.images, -1)).split(at_once)
        sums = [self._sums(some, own.flatten(0, 1)) for some, own in zip(masks.split(at_once, 1), rows, strict=True)]
        return sums[0] if len(sums) == 1 else torch.stack(sums).sum(0)

    def _sums(self, masks: Tensor, rows: Tensor) -> Tensor:
        dimension = len(self.coarse)
        same = [fine == extent for fine, extent in zip(masks.shape[2:], self.coarse, strict=True)]
        weights = F.pad(masks.flatten(0, 1), [int(margin) for margin in reversed(same) for _ in range(2)])
        for taps, extent, shift in zip(self.axes, self.coarse, same, strict=True):
            weights = _shifted(weights, extent) if shift else _pulled_back(weights, taps, extent)
        weights = weights.unflatten(0, masks.shape[:2])  # [K, N, 3, coarse, 3, coarse, ...]
        offsets, cells = range(2, 2 + 2 * dimension, 2), range(3, 3 + 2 * dimension, 2)
        flat = weights.permute(0, *offsets, 1, *cells).reshape(-1, len(rows))
        sums: Tensor = (flat @ rows).view(len(masks), *(NEIGHBOURS,) * dimension, self.channels)
        return sums.flip([axis for axis, shift in enumerate(same, start=1) if shift]).flatten(1)


def _shifted(weights: Tensor, extent: int) -> Tensor:
    """[B, 1 + extent + 1, ...] -> [B, ..., 3, extent]: views of the first axis, what comes after first."""
    return weights.movedim(1, -1).unfold(-1, extent, 1)


def _pulled_back(weights: Tensor, taps: AxisTaps, coarse: int) -> Tensor:
    """[B, fine, ...] -> [B, ..., 3, coarse]: the adjoint of interpolating one axis and looking at the neighbours."""
    cells = torch.arange(coarse, device=weights.device)
    matrix = (taps.weights.unsqueeze(3) * (taps.cells[:, None, :, None] == cells)).sum(2)
    pulled: Tensor = torch.tensordot(weights, matrix, dims=([1], [0]))
    return pulled


class Patches:
    """Patches of several maps [N, C_l, *size_l], the last one at full size, side by side in the order of the maps.

    A patch has 3^d sum(C_l) values: map by map, in a map neighbour by neighbour, in a neighbour channel by channel.
    Pixels are numbered n x pixels + p over the batch. Gradients reach the maps.
    """

    def __init__(self, maps: Sequence[Tensor]) -> None:
        self.size = tuple(maps[-1].shape[2:])
        self.count = len(maps[-1]) * math.prod(self.size)
        self.maps = [MapPatches(features, self.size) for features in maps]

    def places(self, positions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pixel numbers [P] -> their image [P] and coordinates, d of [P]."""
        coordinates: list[Tensor] = []
        for extent in reversed(self.size):
            coordinates.insert(0, positions % extent)
            positions = positions.div(extent, rounding_mode="floor")
        return positions, coordinates

    def means(self, masks: Tensor) -> Tensor:
        """Mean patch of each set of pixels: [K, N pixels] bool -> [K, 3^d C]; 0 for an empty set."""
        dense = masks.view(len(masks), -1, *self.size).to(single(self.maps[-1].rows).dtype)
        sums = torch.cat([features.sums(dense) for features in self.maps], dim=1)
        return sums / masks.sum(1, keepdim=True).clamp(min=1)
