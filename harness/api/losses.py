"""Losses that several methods share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH = 1e-5
"""s of the Dice: keeps it defined for a class that neither probabilities nor labels hold."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What one step minimises.

    Attributes:
        total: A scalar on the device, with a gradient.
        terms: Named parts of it: scalars on the device, detached or not. They are recorded and never read in the step.
    """

    total: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


LabelledLoss = Callable[[Tensor, Tensor], Loss]
"""Of logits [N, C, *size] and labels [N, *size]."""


def one_hot(labels: Tensor, n_classes: int, first: int = 0) -> Tensor:
    """Where each class from `first` on is: [N, *size] -> bool [N, n_classes - first, *size]."""
    classes = torch.arange(first, n_classes, device=labels.device)
    return labels.unsqueeze(1) == classes.view(-1, *(1,) * (labels.ndim - 1))


def overlap(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of p g, and of p^2 and g^2 together, of probabilities [N, C, *size] and labels [N, *size]; each [C]."""
    own = one_hot(labels, probabilities.shape[1])  # a float copy costs a quarter more time, gathering is no faster
    axes = (0, *range(2, probabilities.ndim))
    intersection = (probabilities * own).sum(axes)
    return intersection, probabilities.square().sum(axes) + own.sum(axes)


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """1 - (2 sum(pg) + s) / (sum(p^2) + sum(g^2) + s) with s = 1e-5, mean over all classes, background included.

    Sums run over the whole batch, so a class that one image lacks is no special case. A class that the whole batch
    lacks costs nearly 1 as soon as any pixel is given to it.

    Args:
        probabilities: [N, C, *size], in [0, 1].
        labels: [N, *size], integers 0 .. C - 1.

    Returns:
        A scalar in [0, 1], with gradient.
    """
    intersection, squares = overlap(probabilities, labels)
    return (1.0 - (2.0 * intersection + SMOOTH) / (squares + SMOOTH)).mean()


def masked_dice_loss(probabilities: Tensor, labels: Tensor, mask: Tensor, smooth: float = SMOOTH) -> Tensor:
    """Compute `dice_loss` over the pixels where a mask is true; 0 where there are none.

    A class that none of these pixels has costs nothing once the sum of its squared probabilities there is far below
    `smooth`: with 1e-5 that is a reward for losing the class altogether, with 1e-10 it is out of reach.

    Args:
        probabilities: [N, C, *size], in [0, 1].
        labels: [N, *size], integers 0 .. C - 1.
        mask: bool, [N, *size], or [*size] for all images alike.
        smooth: Added to numerator and denominator.

    Returns:
        A scalar in [0, 1], with gradient.
    """
    axes = (0, *range(2, probabilities.ndim))
    counted = mask.expand_as(labels).unsqueeze(1)
    own = one_hot(labels, probabilities.shape[1]) & counted
    kept = probabilities * counted
    squares = kept.square().sum(axes) + own.sum(axes)
    return (1.0 - (2.0 * (kept * own).sum(axes) + smooth) / (squares + smooth)).mean()


def supervised_loss(logits: Tensor, labels: Tensor) -> Loss:
    """The field's supervised loss, 0.5 (cross-entropy + Dice).

    Args:
        logits: [N, C, *size].
        labels: [N, *size] int64, classes 0 .. C - 1.

    Returns:
        The loss and its two parts, the terms ce and dice, scalars with gradient.
    """
    log_probabilities = logits.log_softmax(dim=1)
    ce = F.nll_loss(log_probabilities, labels)
    dice = dice_loss(log_probabilities.exp(), labels)
    return Loss(0.5 * (ce + dice), {"ce": ce, "dice": dice})


def nnunet_loss(logits: Tensor, labels: Tensor) -> Loss:
    """nnU-Net's loss: cross-entropy + Dice of the foreground, with plain sums in the denominator.

    Dice of a class: 1 - (2 sum(pg) + s) / (sum(p) + sum(g) + s) with s = 1e-5, mean over all classes but background.
    Sums run over the whole batch, as in nnU-Net's 2D configurations and those of its 3D ones that follow a coarser one.
    nnU-Net also supervises coarser scales of the decoder, which the networks here do not show.

    Args:
        logits: [N, C, *size].
        labels: [N, *size] int64, classes 0 .. C - 1, 0 the background.

    Returns:
        The loss and its two parts, the terms ce and dice, scalars with gradient.
    """
    log_probabilities = logits.log_softmax(dim=1)
    ce = F.nll_loss(log_probabilities, labels)
    probabilities = log_probabilities[:, 1:].exp()
    own = one_hot(labels, logits.shape[1], first=1)
    axes = (0, *range(2, probabilities.ndim))
    sums = probabilities.sum(axes) + own.sum(axes)
    dice = (1.0 - (2.0 * (probabilities * own).sum(axes) + SMOOTH) / (sums + SMOOTH)).mean()
    return Loss(ce + dice, {"ce": ce, "dice": dice})


LABELLED_LOSSES: Mapping[str, LabelledLoss] = {"default": supervised_loss, "nnunet": nnunet_loss}
"""By the name that a suite's `engine.loss` has."""
