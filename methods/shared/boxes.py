"""Boxes that are drawn on the device, for images that are cut and pasted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def box_mask(places: Tensor, sides: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes inside an image, one a row.

    Args:
        places: [N, D] in [0, 1), where a box lies among the whole places that it has on each of D axes.
        sides: [N, D], whole pixels, at most those of `size`.
        size: Of an image, D numbers.

    Returns:
        bool [N, *size], true inside.
    """
    mask = torch.ones((), dtype=torch.bool, device=places.device)
    for axis, length in enumerate(size):
        place, side = places[:, axis, None], sides[:, axis, None]
        offset = torch.arange(length, device=places.device) - (place * (length - side + 1)).floor()
        inside = (offset >= 0) & (offset < side)
        mask = mask & inside.view(-1, *(1,) * axis, length, *(1,) * (len(size) - 1 - axis))
    return mask
