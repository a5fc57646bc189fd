"""Connected components on the device: no host copy, no shape that depends on values, slices and volumes alike."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.api.losses import one_hot


@torch.no_grad()
def largest_components(labels: Tensor, n_classes: int) -> Tensor:
    """Keep the largest component of each class of each image and give the rest to the background.

    Components as in `scipy.ndimage.label` with full connectivity: 8 neighbours in 2D, 26 in 3D. Of components of one
    size any may be kept.

    Args:
        labels: [N, *size] int64, values 0 .. n_classes - 1; 0 is the background.
        n_classes: Number of classes.

    Returns:
        Labels of the same shape.
    """
    masks = one_hot(labels, n_classes, first=1)
    roots, inside = _roots(masks).flatten(2), masks.flatten(2)
    sizes = F.pad(torch.zeros_like(roots), (1, 0)).scatter_add_(2, roots, inside.long())
    largest = inside & (roots == sizes.argmax(dim=2, keepdim=True))
    return labels * largest.view_as(masks).any(dim=1)


def _roots(masks: Tensor) -> Tensor:
    """A number of each pixel's component, 0 outside: bool [N, K, *size] -> int64 of that shape.

    Trees of pixels, each of which points to a pixel of its component, 1 .. pixels, no earlier than itself. Every round
    hangs the root of a tree below the last root that any of its pixels sees next door, then halves all paths (Zhang,
    Azad and Hu, FastSV, 2020). The number of rounds is fixed, since a device must not be asked whether it is done: two
    more than the longest serpentine of an image needs, and what were still apart would be judged by its parts.
    """
    inside = masks.long()
    pixels = masks[0, 0].numel()
    parents = torch.arange(1, pixels + 1, device=masks.device).view(masks.shape[2:]) * inside
    for _ in range(math.ceil(math.log2(pixels))):
        highest = (_highest_next_door(parents) * inside).flatten(2)
        pointed = parents.flatten(2)
        hung = F.pad(pointed, (1, 0)).scatter_reduce(2, pointed, highest, "amax")  # place 0 is the outside's
        pointed = torch.maximum(hung[..., 1:], highest)
        parents = F.pad(pointed, (1, 0)).gather(2, pointed).view_as(parents)
    return parents


def _highest_next_door(values: Tensor) -> Tensor:
    """Maximum over each pixel and its neighbours, [N, K, *size], none below 0; on a CPU max pooling takes ten times."""
    for axis in range(2, values.ndim):
        length = values.shape[axis]
        padding = (0, 0) * (values.ndim - 1 - axis) + (1, 1)
        padded = F.pad(values, padding)
        values = torch.maximum(values, torch.maximum(padded.narrow(axis, 0, length), padded.narrow(axis, 2, length)))
    return values
