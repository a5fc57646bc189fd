"""Losses in at least float32, whatever the networks ran in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def unrounded(like: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on `like`'s device: a cosine in bfloat16 over a temperature of 0.01 is off by 0.4."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def single(values: Tensor) -> Tensor:
    """In float32, or float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
