"""Consistency: teachers that are moving averages of networks (Tarvainen and Valpola, NeurIPS 2017), and its weight.

The weight grows with the progress of a stage (Laine and Aila, ICLR 2017).
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from harness.api.params import MethodParams, hyper
from harness.api.progress import Progress, Scalar, ramp_up, staircase

Network = TypeVar("Network", bound=nn.Module)


def teacher_of(student: Network) -> Network:
    """A copy of the student that no optimiser trains; draws no random numbers."""
    return copy.deepcopy(student).requires_grad_(requires_grad=False)


def ema_decay(step: int, limit: float) -> float:
    """min(1 - 1 / (t + 1), limit): 0 at t = 0, so that the first update copies; a true mean until `limit` is met."""
    return min(1.0 - 1.0 / (step + 1), limit)


def clipped_noise(images: Tensor, sigma: float, limit: float) -> Tensor:
    """Images [N, C, *size] plus clip(sigma N(0, 1), -limit, limit), fresh for every pixel."""
    return images + (sigma * torch.randn_like(images)).clamp(-limit, limit)


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, decay: Scalar, *, buffers: bool = False) -> None:
    """In place, theta' <- decay theta' + (1 - decay) theta.

    Parameters alone, or with `buffers` those of real numbers too: running means and variances, no counters.
    """
    averaged: list[Tensor] = list(teacher.parameters())
    current: list[Tensor] = list(student.parameters())
    if buffers:
        averaged += [buffer for buffer in teacher.buffers() if buffer.is_floating_point()]
        current += [buffer for buffer in student.buffers() if buffer.is_floating_point()]
    if isinstance(decay, Tensor):  # torch takes one number for all tensors from the host alone
        torch._foreach_lerp_(averaged, current, [1.0 - decay] * len(averaged))
    else:
        torch._foreach_lerp_(averaged, current, 1.0 - decay)


class ConsistencyParams(MethodParams):
    """Hyper-parameters of every method with a ramped consistency loss."""

    consistency: float = hyper(0.1, "final weight of L_con", ge=0, search=(0.01, 1.0), scale="log")
    ramp_end: float = hyper(1.0, "stage progress at which the weight is full", gt=0, le=1)
    ramp_stairs: int | None = hyper(None, "equal stairs of stage progress; None: smooth", ge=1)

    def weight(self, progress: Progress) -> float:
        """Give consistency x exp(-5 (1 - min(p, end) / end)^2) of stage progress p, in stairs where they are set."""
        return self.consistency * ramp_up(staircase(progress.stage, self.ramp_stairs), self.ramp_end)
