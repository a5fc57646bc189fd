"""Pseudo labels, and images of a batch that are cut and pasted on each other: CutMix, ClassMix, boxes.

Mixing inside a batch of unlabelled images (CutMix: French et al., BMVC 2020; ClassMix: Olsson et al., WACV 2021). Image
b receives pixels of its partner, image b + 1 of the batch (the last one's is the first), with their pseudo labels and
confidences. What is pasted:
    cutmix    one axis-aligned box of half the image, entirely inside it
    classmix  every pixel of half of the classes that the partner's pseudo label shows, max(1, floor(n / 2)) of n

Readings. Box (ReCo's rule, Liu et al., ICLR 2022): the last side is uniform over the integers from half to all of the
axis, both ends included (ReCo leaves them out), the other side makes the area one half, rounded to a whole pixel; in
3D the last two sides are drawn, each at least as long as the half volume needs. Position uniform. ClassMix: ReCo takes
floor(n / 2) of one class as none, so that an image of background alone vanishes; here it replaces the image below.
A mask depends on uniform numbers that the caller may give; nothing here reads a value back from the device.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """Images [U, C, *size], pseudo labels [U, *size] int64, and their confidence [U, *size] in [0, 1]."""

    images: Tensor
    labels: Tensor
    confidence: Tensor


@torch.no_grad()
def pseudo_label(images: Tensor, logits: Tensor) -> Mixed:
    """Label images by a teacher's answer, in at least float32: bfloat16 has no number between 0.9688 and 0.9727.

    Args:
        images: [U, C, *size], not mixed yet.
        logits: [U, n_classes, *size], the teacher's.

    Returns:
        The images with the likeliest class and its probability for each pixel; no gradient.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    confidence, labels = logits.softmax(dim=1, dtype=wide).max(dim=1)
    return Mixed(images, labels, confidence)


def cutmix(images: Tensor, labels: Tensor, confidence: Tensor) -> Mixed:
    """Mix by boxes of half the image, one an image, from torch's default generator.

    Args:
        images: [U, C, *size].
        labels: [U, *size] int64.
        confidence: [U, *size].

    Returns:
        Mixed images with the labels and confidences of their pixels; a batch of one as it is.
    """
    size = images.shape[2:]
    draws = torch.rand(len(images), 2 * len(size) - 1, device=images.device)
    return paste(Mixed(images, labels, confidence), half_boxes(draws, size))


def classmix(images: Tensor, labels: Tensor, confidence: Tensor, n_classes: int) -> Mixed:
    """Mix by classes, background included, from torch's default generator.

    Args:
        images: [U, C, *size].
        labels: [U, *size] int64, values 0 .. n_classes - 1.
        confidence: [U, *size].
        n_classes: Number of classes with background.

    Returns:
        As for `cutmix`.
    """
    scores = torch.rand(len(images), n_classes, device=images.device)
    return paste(Mixed(images, labels, confidence), class_mask(scores, partner(labels)))


def partner(batch: Tensor) -> Tensor:
    """The image [U, ...] that is pasted on each one of a batch: the next one, for the last the first."""
    return batch.roll(-1, dims=0)


def paste(base: Mixed, mask: Tensor) -> Mixed:
    """Show the partner where a mask [U, *size] is true; image, label and confidence move together."""
    return Mixed(
        torch.where(mask.unsqueeze(1), partner(base.images), base.images),
        torch.where(mask, partner(base.labels), base.labels),
        torch.where(mask, partner(base.confidence), base.confidence),
    )


def box_mask(places: Tensor, sides: Tensor, size: Sequence[int]) -> Tensor:
    """Draw boxes inside an image, one a row.

    Args:
        places: [N, D] in [0, 1), where a box lies among the whole places that it has on each of D axes.
        sides: [N, D], whole pixels, at most those of `size`.
        size: Of an image, D numbers.

    Returns:
        bool [N, *size], true inside.
    """
    mask = torch.ones((), dtype=torch.bool, device=places.device)
    for axis, length in enumerate(size):
        place, side = places[:, axis, None], sides[:, axis, None]
        offset = torch.arange(length, device=places.device) - (place * (length - side + 1)).floor()
        inside = (offset >= 0) & (offset < side)
        mask = mask & inside.view(-1, *(1,) * axis, length, *(1,) * (len(size) - 1 - axis))
    return mask


def half_boxes(draws: Tensor, size: Sequence[int]) -> Tensor:
    """Draw boxes of half the image, by the rule of `cutmix`; off by less than half a slice across axis 0.

    Args:
        draws: [U, 2 D - 1] in [0, 1) for D axes: D - 1 sides (axes 1 .. D - 1), then D places.
        size: Of an image, D numbers.

    Returns:
        bool [U, *size], true inside.
    """
    return box_mask(draws[:, len(size) - 1 :], torch.stack(_half_sides(draws, size), dim=1), size)


def class_mask(scores: Tensor, labels: Tensor) -> Tensor:
    """Half of the classes in labels [U, *size], by scores [U, n_classes] in [0, 1): bool [U, *size], true where chosen.

    Of n classes of an image max(1, floor(n / 2)), those of the highest scores.
    """
    values = torch.arange(scores.shape[1], device=labels.device)
    flat = labels.flatten(1)
    present = (flat.unsqueeze(1) == values.view(1, -1, 1)).any(dim=2)
    best_first = scores.masked_fill(~present, -1.0).argsort(dim=1, descending=True)
    rank = best_first.argsort(dim=1)
    count = (present.sum(dim=1, keepdim=True) // 2).clamp(min=1)
    return (rank < count).gather(1, flat).view_as(labels)


def _half_sides(draws: Tensor, size: Sequence[int]) -> list[Tensor]:
    """Whole side lengths in pixels, one [U] an axis; draws [U, D - 1] for axes 1 .. D - 1."""
    rest = draws.new_full((len(draws),), math.prod(size) / 2)  # half the volume over the sides drawn so far
    sides = []
    for axis in range(len(size) - 1, 0, -1):
        shortest = (rest / math.prod(size[:axis])).ceil()  # with it, the axes still to come must be full
        side = shortest + (draws[:, axis - 1] * (size[axis] - shortest + 1)).floor()
        sides.append(side.clamp(max=size[axis]))
        rest = rest / sides[-1]
    sides.append(rest.round().clamp(1, size[0]))
    return sides[::-1]
