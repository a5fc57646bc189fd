"""Where the voxels of patches lie in volumes that stand end to end in one flat tensor: whole numbers, no resampling.

The field's loader turns a volume by a random multiple of 90 degrees in plane, flips one of the two axes of the plane,
and crops a patch at random (METHODS 2.2). Its eight draws have four outcomes, two draws each: one axis flipped, or both
axes exchanged with none or both of them flipped. Here the outcome is drawn, and applied to the patch's window alone.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Turns:
    """In-plane orientations of n patches, each [n] bool.

    exchanged:      the patch's first axis runs along the volume's second one, and the other way round.
    flipped_x, _y:  the patch is read backwards along the volume's first, second axis.
    """

    exchanged: Tensor
    flipped_x: Tensor
    flipped_y: Tensor


def draw_turns(count: int, generator: torch.Generator, device: torch.device) -> Turns:
    """The four outcomes of the field's turn and flip, alike likely."""
    exchanged, second = torch.randint(2, (2, count), generator=generator, device=device).bool()
    return Turns(exchanged, ~exchanged ^ second, second)


def no_turns(count: int, device: torch.device) -> Turns:
    no = torch.zeros(count, dtype=torch.bool, device=device)
    return Turns(no, no, no)


def draw_places(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """[count, 3] in [0, 1): how far along each axis a patch lies between its first and its last position."""
    return torch.rand(count, 3, generator=generator, device=device, dtype=torch.float64)


def patch_indices(offsets: Tensor, shapes: Tensor, places: Tensor, turns: Turns, size: tuple[int, ...]) -> Tensor:
    """[n, X, Y, Z] int64: position in the flat tensor of every voxel of n patches.

    offsets: [n] first voxel of each patch's volume; shapes: [n, 3] of the volumes, in C order, no side shorter than the
             patch lying there; places: `draw_places`; size: of a patch, (X, Y, Z).
    """
    steps = [torch.arange(side, device=offsets.device) for side in size]
    extent_x = torch.where(turns.exchanged, size[1], size[0])
    extent_y = torch.where(turns.exchanged, size[0], size[1])
    extents = torch.stack([extent_x, extent_y, torch.full_like(extent_x, size[2])], 1)
    starts = (places * (shapes - extents + 1)).long()
    stride_x, stride_y = shapes[:, 1] * shapes[:, 2], shapes[:, 2]
    first_x = starts[:, 0] + torch.where(turns.flipped_x, extent_x - 1, 0)
    first_y = starts[:, 1] + torch.where(turns.flipped_y, extent_y - 1, 0)
    along_x = torch.where(turns.flipped_x, -stride_x, stride_x)
    along_y = torch.where(turns.flipped_y, -stride_y, stride_y)
    first = offsets + first_x * stride_x + first_y * stride_y + starts[:, 2]
    rows = steps[0] * torch.where(turns.exchanged, along_y, along_x)[:, None]
    columns = steps[1] * torch.where(turns.exchanged, along_x, along_y)[:, None]
    return (first[:, None] + rows)[:, :, None, None] + columns[:, None, :, None] + steps[2]
