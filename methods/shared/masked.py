"""Dice over some of the pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.api.losses import SMOOTH


def masked_dice_loss(probabilities: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """`harness.api.losses.dice_loss` over the pixels where the mask is true; 0 where there are none.

    Args:
        probabilities: [N, C, *size], in [0, 1].
        labels: [N, *size], integers 0 .. C - 1.
        mask: bool, [N, *size], or [*size] for all images alike.

    Returns:
        A scalar in [0, 1], with gradient.
    """
    n_classes, axes = probabilities.shape[1], (0, *range(2, probabilities.ndim))
    values = torch.arange(n_classes, device=labels.device).view(n_classes, *(1,) * (labels.ndim - 1))
    counted = mask.expand_as(labels).unsqueeze(1)
    own = (labels.unsqueeze(1) == values) & counted
    kept = probabilities * counted
    squares = kept.square().sum(axes) + own.sum(axes)
    return (1.0 - (2.0 * (kept * own).sum(axes) + SMOOTH) / (squares + SMOOTH)).mean()
