"""Scans read between their voxels: images linearly, labels at the nearest voxel, in 2D and 3D.

Scans lie end to end in one flat tensor, so a patch is read from all of its volume, not from a crop of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor


def centred_points(size: tuple[int, ...], device: torch.device) -> Tensor:
    """[D, P] float32 coordinates of the P voxels of a patch, in voxels from its centre, in C order."""
    axes = [torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2 for side in size]
    return torch.stack(torch.meshgrid(axes, indexing="ij")).flatten(1)


@dataclass(frozen=True, slots=True)
class Points:
    """Where n patches of P voxels are read, each in a scan of its own.

    first:  [n] int64, position in the flat tensor of each scan's first voxel.
    shapes: [n, D] int64, of the scans.
    places: [n, D, P] float32 coordinates in voxels; 0 is the centre of the first voxel.
    """

    first: Tensor
    shapes: Tensor
    places: Tensor

    def in_channels(self, first: Tensor) -> Points:
        """The same places in every channel, a row each; first: [n, C], position of each channel's first voxel."""
        count = first.shape[1]
        if count == 1:
            return replace(self, first=first[:, 0])
        shapes, places = (each.repeat_interleave(count, dim=0) for each in (self.shapes, self.places))
        return Points(first.flatten(), shapes, places)

    def linear(self, flat: Tensor, outside: Tensor) -> Tensor:
        """[n, P]: between the 2^D voxels around each point. outside: [n], the value beyond a scan's border."""
        lower = self.places.floor()
        shares = self.places - lower
        below, above = lower.long().unbind(1), (lower.long() + 1).unbind(1)
        total = torch.zeros((), device=flat.device)
        for corner in product((False, True), repeat=len(below)):
            voxels, inside = self._voxels([above[k] if upper else below[k] for k, upper in enumerate(corner)])
            weight = torch.ones((), device=flat.device)
            for axis, upper in enumerate(corner):
                weight = weight * (shares[:, axis] if upper else 1.0 - shares[:, axis])
            total = total + weight * torch.where(inside, flat[voxels], outside[:, None])
        return total

    def nearest(self, flat: Tensor) -> Tensor:
        """[n, P] of the type of `flat`: the voxel nearest to each point; 0 beyond a scan's border."""
        voxels, inside = self._voxels(self.places.round().long().unbind(1))
        return flat[voxels] * inside

    def _voxels(self, places: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Position in the flat tensor of places, [n, P] int64 for each axis, and which lie in their scan."""
        index, inside = torch.zeros_like(places[0]), torch.ones_like(places[0], dtype=torch.bool)
        for axis, place in enumerate(places):
            side = self.shapes[:, axis, None]
            inside = inside & (place >= 0) & (place < side)
            index = index * side + torch.minimum(place.clamp(min=0), side - 1)
        return self.first[:, None] + index, inside
