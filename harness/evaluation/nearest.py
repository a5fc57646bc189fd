"""Nearest neighbour as torch does it, on every device alike."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def nearest_indices(source: int, target: int) -> Tensor:
    """Source index of each of `target` positions under torch's `nearest-exact`, [target] int64 on the CPU.

    Asked of torch itself and not recomputed: torch rounds floor((i + 0.5) * source / target) in float32, and the exact
    rule differs from it at some sizes. Computed on the CPU, so that every device restores the same pixels.
    """
    positions = torch.arange(source, dtype=torch.float32)[None, None]
    return functional.interpolate(positions, size=target, mode="nearest-exact")[0, 0].long()
