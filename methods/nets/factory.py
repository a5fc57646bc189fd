"""Networks by task: every method asks here, so that equal names mean equal networks."""

from __future__ import annotations

from harness.spec.errors import UsageError
from harness.spec.task import Task
from methods.nets.mc_net import MCNet2D
from methods.nets.unet import UNet


def backbone(task: Task) -> UNet:
    """The network that all methods share and that is tested: the 2D U-Net.

    Call it before anything else that draws random numbers: equal seeds then give equal initial weights across methods.
    Raises `UsageError` for tasks that no network serves.
    """
    _check(task)
    return UNet(task.channels, task.n_classes)


def mc_net(task: Task) -> MCNet2D:
    """`backbone` with MC-Net's second decoder; the same conditions."""
    _check(task)
    return MCNet2D(task.channels, task.n_classes)


def _check(task: Task) -> None:
    if task.dimension != 2:
        raise UsageError(f"task {task.name}: dimension {task.dimension} has no network yet; use a task of dimension 2")
