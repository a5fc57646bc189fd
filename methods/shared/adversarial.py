"""Virtual adversarial training: Miyato et al., TPAMI 41, 2019, with the soft Dice of two predictions as distance."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

SMOOTH = 1e-10
TINY = 1e-8
"""Keeps a direction defined where a gradient vanishes."""


def soft_dice(probabilities: Tensor, others: Tensor) -> Tensor:
    """1 - 2 sum(p q) / (sum(p^2) + sum(q^2)) of two [N, C, *size], sums over the batch, mean over all classes."""
    axes = (0, *range(2, probabilities.ndim))
    squares = probabilities.square().sum(axes) + others.square().sum(axes)
    return (1.0 - (2.0 * (probabilities * others).sum(axes) + SMOOTH) / (squares + SMOOTH)).mean()


def adversarial_loss(network: nn.Module, images: Tensor, clean: Tensor, probe: float, radius: float) -> Tensor:
    """How far, in soft Dice, a prediction moves in the direction that moves it most, found by one power step.

    Batch normalisation uses the statistics of the batch and keeps its running ones.

    clean:  the network's probabilities for the images [N, channels, *size], without gradient.
    probe:  length of the random step from which the direction comes.
    radius: length of the adversarial step, the Euclidean norm of an image's change.
    """

    def distance(step: Tensor) -> Tensor:
        return soft_dice(network(images + step).softmax(dim=1), clean)

    with frozen_statistics(network):
        return distance(radius * _power_step(distance, images, probe))


def _power_step(distance: Callable[[Tensor], Tensor], images: Tensor, probe: float) -> Tensor:
    """The direction of the distance's gradient at a random small step, unit norm an image."""
    start = _unit(torch.rand_like(images) - 0.5).requires_grad_()
    (gradient,) = torch.autograd.grad(distance(probe * start), start)
    return _unit(gradient)


def _unit(direction: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.ndim)), keepdim=True)
    return direction / (norms + TINY)


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Within, batch normalisation in training mode leaves its running statistics alone."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
