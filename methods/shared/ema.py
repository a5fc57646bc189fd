"""Exponential moving averages of networks (Tarvainen and Valpola, NeurIPS 2017)."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def teacher_of(student: Network) -> Network:
    """A copy of the student that no optimiser trains; draws no random numbers."""
    return copy.deepcopy(student).requires_grad_(requires_grad=False)


def ema_decay(step: int, limit: float) -> float:
    """min(1 - 1 / (t + 1), limit): 0 at t = 0, so that the first update copies; a true mean until `limit` is met."""
    return min(1.0 - 1.0 / (step + 1), limit)


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """In place, theta' <- decay theta' + (1 - decay) theta; parameters only, buffers are left alone."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1.0 - decay)
