"""Consistency: teachers that are moving averages of networks (Tarvainen and Valpola, NeurIPS 2017), and its weight.

The weight grows with the progress of a stage (Laine and Aila, ICLR 2017).
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from harness.api.params import MethodParams, hyper
from harness.api.progress import Progress, Scalar, ramp_up, staircase

Network = TypeVar("Network", bound=nn.Module)


def teacher_of(student: Network) -> Network:
    """Copy a network as a teacher that no optimiser trains; draws no random numbers.

    Args:
        student: A network with its initial weights.

    Returns:
        A deep copy without gradients. Make it an attribute of the method, so that checkpoints hold it.
    """
    return copy.deepcopy(student).requires_grad_(requires_grad=False)


def ema_decay(step: int, limit: float) -> float:
    """Give the teacher's decay at a step, min(1 - 1 / (t + 1), limit) (Tarvainen and Valpola, NeurIPS 2017).

    Args:
        step: t, `Progress.step`; at 0 the decay is 0, so that the first update copies.
        limit: Decay that it grows to, in [0, 1]; up to it the teacher is a true mean.

    Returns:
        The decay, for `Method.schedules`.
    """
    return min(1.0 - 1.0 / (step + 1), limit)


def clipped_noise(images: Tensor, sigma: float, limit: float) -> Tensor:
    """Add clip(sigma N(0, 1), -limit, limit) to images, fresh for every pixel.

    Args:
        images: [N, C, *size].
        sigma: Standard deviation of the noise before it is clipped.
        limit: Largest change of a pixel.

    Returns:
        Noisy images of the same shape; those given stay as they are.
    """
    return images + (sigma * torch.randn_like(images)).clamp(-limit, limit)


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, decay: Scalar, *, buffers: bool = False) -> None:
    """Move a teacher towards its student, in place: theta' <- decay theta' + (1 - decay) theta.

    Args:
        teacher: A network of `teacher_of`, changed in place.
        student: The network that is trained.
        decay: A number, or a scalar on the device, as `progress["name"]` is.
        buffers: Whether running means and variances move too; counters never do.
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
        """Give consistency x exp(-5 (1 - min(p, end) / end)^2) of stage progress p, in stairs where they are set.

        Args:
            progress: That of the step.

        Returns:
            The weight, for `Method.schedules`.
        """
        return self.consistency * ramp_up(staircase(progress.stage, self.ramp_stairs), self.ramp_end)
