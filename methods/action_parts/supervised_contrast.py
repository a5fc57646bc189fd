"""L_aaco: supervised contrast of labelled pixels with a queue and class centres (You et al., ACTION++, MICCAI 2023).

For anchor i, a unit feature of the student, with s = cosine / tau and log q_j = s_ij - log sum_j' e^(s_ij'), where j'
runs over the teacher's feature of the same pixel, all queue entries, and the centres except the masked ones:
    sampled  L = -(1/n) sum_i [ mean of log q over P_i + lambda log q_centre ]
    release  L = -(1/n) sum_i [ sum of log q over P_i + lambda log q_centre ] / (|P_i| + 1)
Sampled, the reading: P_i holds k entries of the anchor's class, drawn with replacement, and the teacher's feature, or
the latter alone while the queue lacks the class; the centre term is not divided. Release: P_i holds all entries of the
class and the teacher's feature, so that with a full queue the centre weighs lambda / 3074: practically nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from harness.api.progress import Scalar
from methods.action_parts.arithmetic import NEVER, class_masks, draw_members, single, unrounded
from methods.action_parts.neighbours import LabelledBank

ROWS = 64
"""Anchors at a time against the queue: 3 MB of logits for 12,288 entries."""


class AnchorDraw(NamedTuple):
    """n = K x count labelled pixels, class after class.

    positions: [n] pixel numbers; labels: [n] the class; used: [n] bool, False where the batch lacks the class.
    """

    positions: Tensor
    labels: Tensor
    used: Tensor

    @property
    def queue_labels(self) -> Tensor:
        """[n] the labels to enqueue with: -1 where not used."""
        return torch.where(self.used, self.labels, -1)


class PositiveDraw(NamedTuple):
    """entries: [n, k] numbers of queue entries; found: [n] bool, False where the queue lacks the anchor's class."""

    entries: Tensor
    found: Tensor


@dataclass(frozen=True, slots=True)
class Anchors:
    """Unit vectors of n labelled pixels.

    student, teacher: [n, D] features of the same pixels; gradients reach the student alone.
    labels:           [n] the class; used: [n] bool, False for an anchor that does not count.
    """

    student: Tensor
    teacher: Tensor
    labels: Tensor
    used: Tensor


@dataclass(frozen=True, slots=True)
class Targets:
    """Unit centres [M, D], the number of each anchor's centre [n], and [n, M] bool, True for one not to be repelled."""

    centres: Tensor
    chosen: Tensor
    masked: Tensor


def draw_anchors(labels: Tensor, n_classes: int, count: int) -> AnchorDraw:
    """`count` pixels of each class with replacement: labels [L, *size] -> n = n_classes x count pixels."""
    masks = class_masks(labels, n_classes)
    own = torch.arange(n_classes, device=labels.device).repeat_interleave(count)
    return AnchorDraw(draw_members(masks, own), own, masks.any(1)[own])


def draw_positives(queue_labels: Tensor, labels: Tensor, n_classes: int, count: int) -> PositiveDraw:
    """`count` queue entries of each anchor's class, with replacement: labels [S] of the queue, [n] of the anchors."""
    masks = class_masks(queue_labels, n_classes)
    entries = draw_members(masks, labels.unsqueeze(1).expand(-1, count))
    return PositiveDraw(entries, masks.any(1)[labels])


def supervised_contrast_loss(
    anchors: Anchors,
    queue: LabelledBank,
    targets: Targets,
    positives: PositiveDraw | None,
    temperature: Scalar,
    centre_weight: float,
) -> Tensor:
    """L_aaco -> scalar; with `positives` the reading, with None the release's form. 0 without any used anchor.

    All log q of one anchor share the denominator, so only the mean of its positives is needed, not a logit for each.
    """
    with unrounded(anchors.student):
        scaled = single(anchors.student) / temperature
        denominator = _denominator(scaled, anchors, queue, targets)
        mean, count = _positives(anchors, queue, positives)
        positive = (scaled * mean).sum(1) - denominator
        centre = (scaled * targets.centres[targets.chosen]).sum(1) - denominator
    if positives is None:
        by_anchor = (count * positive + centre_weight * centre) / (count + 1)
    else:
        by_anchor = positive + centre_weight * centre
    return -(by_anchor * anchors.used).sum() / anchors.used.sum().clamp(min=1)


def _denominator(scaled: Tensor, anchors: Anchors, queue: LabelledBank, targets: Targets) -> Tensor:
    """[n] log-sum-exp over queue, teacher's feature and centres."""
    bias = torch.where(queue.labels >= 0, scaled.new_zeros(()), NEVER)
    entries: Tensor = _QueueLogSumExp.apply(scaled, queue.entries, bias)  # type: ignore[no-untyped-call]
    centres = (scaled @ targets.centres.t()).masked_fill(targets.masked, NEVER)
    twin = (scaled * single(anchors.teacher.detach())).sum(1, keepdim=True)
    return torch.logaddexp(entries, torch.cat((twin, centres), dim=1).logsumexp(1))


class _QueueLogSumExp(torch.autograd.Function):
    """log sum_j e^(x . e_j + b_j) for rows x [n, D] and constant entries e [S, D], b [S] -> [n].

    The gradient of a row is the softmax-weighted mean of the entries. It is computed on the way, a few rows at a time,
    so that the n x S logits (50 MB for 1,024 anchors) never leave the processor's cache and none are kept for backward.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, entries: Tensor, bias: Tensor) -> Tensor:
        values, means = [], []
        for some in rows.split(ROWS):
            logits = torch.addmm(bias, some, entries.t())
            top = logits.amax(1, keepdim=True)
            shares = logits.sub_(top).exp_()
            total = shares.sum(1, keepdim=True)
            values.append((top + total.log()).squeeze(1))
            means.append(shares @ entries / total)
        ctx.save_for_backward(torch.cat(means))
        return torch.cat(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor, None, None]:
        (means,) = ctx.saved_tensors
        return gradient.unsqueeze(1) * means, None, None


def _positives(anchors: Anchors, queue: LabelledBank, positives: PositiveDraw | None) -> tuple[Tensor, Tensor]:
    """Mean of each anchor's positives [n, D], without gradient, and their number [n]."""
    if positives is None:
        members = (anchors.labels.unsqueeze(1) == queue.labels).to(queue.entries.dtype)
        count, total = members.sum(1), members @ queue.entries
    else:
        count = positives.found * positives.entries.shape[1]
        total = queue.entries[positives.entries].sum(1) * positives.found.unsqueeze(1)
    mean = (single(anchors.teacher.detach()) + total) / (count + 1).unsqueeze(1)
    return mean, count + 1
