"""Pseudo labels and the loss on them, weighted by the share of confident pixels (ReCo: Liu et al., ICLR 2022).

    label       yhat = argmax_c p'_c, confidence = max_c p'_c, p' = softmax(teacher)
    share       eta_b = share of the pixels of image b with confidence >= theta
    L_unsup     sum_b eta_b sum_i CE(b, i) / #{(b, i): CE(b, i) > 0}

The count is the release's: pixels whose cross-entropy is exactly 0 in the arithmetic at hand (in float32 a margin of
about 17 between the logits) leave the mean. No pixel is masked by its confidence: a doubtful one counts too, by eta_b.
Where nothing is left the release divides by zero; here the loss is 0.

Mixing: CutMix and ClassMix inside a batch of unlabelled images (French et al., BMVC 2020; Olsson et al., WACV 2021).

Image b receives pixels of its partner, image b + 1 of the batch (the last one's is the first), with their pseudo labels
and confidences. What is pasted:
    cutmix    one axis-aligned box of half the image, entirely inside it
    classmix  every pixel of half of the classes that the partner's pseudo label shows, max(1, floor(n / 2)) of n

Readings. Box (ReCo's rule, Liu et al., ICLR 2022): the last side is uniform over the integers from half to all of the
axis, both ends included (ReCo leaves them out), the other side makes the area one half, rounded to a whole pixel; in
3D the last two sides are drawn, each at least as long as the half volume needs. Position uniform. ClassMix: ReCo takes
floor(n / 2) of one class as none, so that an image of background alone vanishes; here it replaces the image below.
A mask depends on uniform numbers that the caller may give; nothing here reads a value back from the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Mixed(NamedTuple):
    """Images [U, C, *size], pseudo labels [U, *size] int64, and their confidence [U, *size] in [0, 1]."""

    images: Tensor
    labels: Tensor
    confidence: Tensor


@torch.no_grad()
def pseudo_label(images: Tensor, logits: Tensor) -> Mixed:
    """What a teacher's logits [U, n_classes, *size] say of images that are not mixed yet, and how surely; no gradient.

    In at least float32: bfloat16 has no number between 0.9688 and 0.9727, where the threshold lies.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    confidence, labels = logits.softmax(dim=1, dtype=wide).max(dim=1)
    return Mixed(images, labels, confidence)


def confident_share(confidence: Tensor, threshold: float) -> Tensor:
    """eta: share of pixels with confidence of at least the threshold, [U, *size] -> [U]; its mean is the batch's."""
    return (confidence >= threshold).flatten(1).to(confidence.dtype).mean(dim=1)


def unsupervised_loss(logits: Tensor, labels: Tensor, confidence: Tensor, threshold: float) -> Tensor:
    """L_unsup of a student's logits [U, n_classes, *size], labels and confidence [U, *size] -> scalar.

    Labels and confidence are those of the images the student saw: the mixed ones where images were mixed.
    """
    ce = F.cross_entropy(logits, labels, reduction="none").flatten(1)
    counted = (ce > 0).sum().clamp(min=1)
    return (confident_share(confidence, threshold) * ce.sum(dim=1)).sum() / counted


def cutmix(images: Tensor, labels: Tensor, confidence: Tensor) -> Mixed:
    """Mix by boxes, one a image, from torch's default generator; a batch of one comes back as it is."""
    size = images.shape[2:]
    draws = torch.rand(len(images), 2 * len(size) - 1, device=images.device)
    return paste(Mixed(images, labels, confidence), box_mask(draws, size))


def classmix(images: Tensor, labels: Tensor, confidence: Tensor, n_classes: int) -> Mixed:
    """Mix by classes 0 .. n_classes - 1, background included; draws and a batch of one as in `cutmix`."""
    scores = torch.rand(len(images), n_classes, device=images.device)
    return paste(Mixed(images, labels, confidence), class_mask(scores, partner(labels)))


def partner(batch: Tensor) -> Tensor:
    """The image that is pasted on each image of a batch [U, ...]: the next one."""
    return batch.roll(-1, dims=0)


def paste(base: Mixed, mask: Tensor) -> Mixed:
    """Partner where the mask [U, *size] is true, base elsewhere; image, label and confidence move together."""
    return Mixed(
        torch.where(mask.unsqueeze(1), partner(base.images), base.images),
        torch.where(mask, partner(base.labels), base.labels),
        torch.where(mask, partner(base.confidence), base.confidence),
    )


def box_mask(draws: Tensor, size: Sequence[int]) -> Tensor:
    """Boxes of half the image: bool [U, *size], true inside.

    draws: [U, 2 D - 1] in [0, 1) for D axes: D - 1 sides (axes 1 .. D - 1), then D positions.
    The volume is off by less than half a slice across axis 0: that side takes the rounding.
    """
    dimension = len(size)
    mask = torch.ones((), dtype=torch.bool, device=draws.device)
    for axis, side in enumerate(_box_sides(draws[:, : dimension - 1], size)):
        start = (draws[:, dimension - 1 + axis] * (size[axis] - side + 1)).floor()
        offset = torch.arange(size[axis], device=draws.device) - start.unsqueeze(1)
        inside = (offset >= 0) & (offset < side.unsqueeze(1))
        mask = mask & inside.view(-1, *(1,) * axis, size[axis], *(1,) * (dimension - 1 - axis))
    return mask


def class_mask(scores: Tensor, labels: Tensor) -> Tensor:
    """Pixels of the classes with the highest scores among the present ones: bool [U, *size].

    scores: [U, n_classes] in [0, 1); labels: [U, *size] int64. max(1, floor(n / 2)) of n present classes are taken.
    """
    values = torch.arange(scores.shape[1], device=labels.device)
    flat = labels.flatten(1)
    present = (flat.unsqueeze(1) == values.view(1, -1, 1)).any(dim=2)
    best_first = scores.masked_fill(~present, -1.0).argsort(dim=1, descending=True)
    rank = best_first.argsort(dim=1)
    count = (present.sum(dim=1, keepdim=True) // 2).clamp(min=1)
    return (rank < count).gather(1, flat).view_as(labels)


def _box_sides(draws: Tensor, size: Sequence[int]) -> list[Tensor]:
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
