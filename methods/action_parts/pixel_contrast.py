"""The contrasts of single pixels, L_anco and L_aaco.

L_anco: active contrast of hard pixels with class means (You et al., ACTION, IPMI 2023; Liu et al., ReCo, ICLR 2022).

For each class k that is present (has a valid pixel), with r the representation of a pixel:
    positive   r+ = mean of r over the valid pixels of k
    queries    drawn with replacement from the hard ones among them, those with p_k < hard_below
    negatives  class v with probability softmax_v(cos(r+_k, r+_v) / tau) over present v != k, then a valid pixel of v
    loss       -log [e^(cos(r, r+) / tau) / (e^(cos(r, r+) / tau) + sum_n e^(cos(r, r_n) / tau))], mean over queries
The sum over classes is divided by the number of present classes, as in ReCo: a class without hard pixels adds nothing
and still counts. 0 where fewer than two classes are present. Means and negatives are the student's, without gradient.

Reading: one pool of negatives serves all queries of a class in a step; `per_query` draws anew for each query, as the
release does. The pool has the same expectation, since a query's own negatives are distributed alike in both.

L_aaco: supervised contrast of labelled pixels with a queue and class centres (You et al., ACTION++, MICCAI 2023).

For anchor i, a unit feature of the student, with s = cosine / tau and log q_j = s_ij - log sum_j' e^(s_ij'), where j'
runs over the teacher's feature of the same pixel, all queue entries, and the centres except the masked ones:
    sampled  L = -(1/n) sum_i [ mean of log q over P_i + lambda log q_centre ]
    release  L = -(1/n) sum_i [ sum of log q over P_i + lambda log q_centre ] / (|P_i| + 1)
Sampled, the reading: P_i holds k entries of the anchor's class, drawn with replacement, and the teacher's feature, or
the latter alone while the queue lacks the class; the centre term is not divided. Release: P_i holds all entries of the
class and the teacher's feature, so that with a full queue the centre weighs lambda / 3074: practically nothing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from harness.api.method import Loss
from harness.api.params import MethodParams, hyper
from harness.api.progress import Scalar
from methods.action_parts.arithmetic import (
    NEVER,
    class_masks,
    draw_classes,
    draw_members,
    product_dtype,
    single,
    unrounded,
)
from methods.action_parts.neighbours import LabelledBank
from methods.action_parts.representation import SampledFeatures

ENTRIES = 1024
"""Queue entries at a time: 4 MB of logits for 1,024 anchors."""
NEGLIGIBLE = -87.0
"""Beside a logit of 0 nothing in float32; e to less is no normal number, and 10 to 30 times slower to compute."""


class AnatomicalParams(MethodParams):
    """What L_anco samples."""

    hard_below: float = hyper(0.97, "probability under which a pixel is a hard query", ge=0, le=1)
    queries: int = hyper(256, "queries of a class in L_anco", ge=1)
    keys: int = hyper(512, "negative keys of a class in L_anco", ge=1)
    per_query: bool = hyper(False, "True: keys of its own for each query, as the release")


class AnatomicalDraw(NamedTuple):
    """One step's pixels.

    queries: [K, Q] pixel numbers; those of a class without hard pixels mean nothing.
    keys:    [K, M], or [K, Q, M] per query.
    present: [K] bool, the class has valid pixels.
    hard:    [K] bool, the class has hard ones.
    """

    queries: Tensor
    keys: Tensor
    present: Tensor
    hard: Tensor


def draw_anatomical(
    masks: Tensor, hard: Tensor, means: Tensor, temperature: Scalar, params: AnatomicalParams
) -> AnatomicalDraw:
    """Valid and hard pixels of each class, [K, P] bool, and class means [K, features] -> queries and keys."""
    n_classes = len(masks)
    classes = torch.arange(n_classes, device=masks.device)
    present = masks.any(1)
    directions = F.normalize(single(means), dim=1)
    allowed = present & (classes != classes.unsqueeze(1))
    relation = (directions @ directions.t() / temperature).masked_fill(~allowed, NEVER).softmax(1)
    count = params.keys * (params.queries if params.per_query else 1)
    keys = draw_members(masks, draw_classes(relation, count))
    if params.per_query:
        keys = keys.unflatten(1, (params.queries, params.keys))
    queries = draw_members(hard, classes.unsqueeze(1).expand(-1, params.queries))
    return AnatomicalDraw(queries, keys, present, hard.any(1))


def anatomical_loss(queries: Tensor, keys: Tensor, means: Tensor, draw: AnatomicalDraw, temperature: Scalar) -> Tensor:
    """Representations of the drawn queries [K, Q, D], keys [K, M, D] or [K, Q, M, D], means [K, D] -> scalar."""
    given = (queries, keys.detach(), means.detach())
    ours, theirs, targets = (F.normalize(single(vectors), dim=-1) for vectors in given)
    with unrounded(queries):
        positive = (ours @ targets.unsqueeze(2)).squeeze(2) / temperature
        if theirs.ndim == 3:
            negative = ours @ theirs.transpose(1, 2) / temperature
        else:
            negative = (theirs @ ours.unsqueeze(3)).squeeze(3) / temperature
    by_class = (torch.logaddexp(positive, negative.logsumexp(2)) - positive).mean(1)
    counted = draw.hard & (draw.present.sum() >= 2)
    return (by_class * counted).sum() / draw.present.sum().clamp(min=1)


def anatomical_contrast(
    features: SampledFeatures,
    probabilities: Tensor,
    labels: Tensor,
    valid: Tensor,
    temperature: Scalar,
    params: AnatomicalParams,
) -> Loss:
    """L_anco of a batch, labelled and pseudo-labelled images together; terms: itself, and how many queries it used.

    probabilities: [N, K, *size], the student's; labels: [N, *size] int64; valid: [N, *size] bool, whose label counts.
    """
    n_classes = probabilities.shape[1]
    masks = class_masks(labels, n_classes) & valid.flatten()
    own = probabilities.detach().transpose(0, 1).flatten(1)
    hard = masks & (own < params.hard_below)
    with torch.no_grad():
        means = features.means(masks)
        draw = draw_anatomical(masks, hard, means, temperature, params)
        keys = features.at(draw.keys)
    loss = anatomical_loss(features.at(draw.queries), keys, means, draw, temperature)
    used = draw.hard.sum() * params.queries * (draw.present.sum() >= 2)
    return Loss(loss, {"anatomical": loss, "anatomical_queries": used.float()})


class AnchorDraw(NamedTuple):
    """n = K x count labelled pixels, class after class.

    positions: [n] pixel numbers; labels: [n] the class; used: [n] bool, False where the batch lacks the class.
    """

    positions: Tensor
    labels: Tensor
    used: Tensor


class PositiveDraw(NamedTuple):
    """entries: [n, k] numbers of queue entries; present: [n] bool, False where the queue lacks the anchor's class."""

    entries: Tensor
    present: Tensor


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
    scaled = single(anchors.student) / temperature
    dtype = product_dtype(scaled)
    with unrounded(scaled):
        denominator = _denominator(scaled, anchors, queue, targets, dtype)
        mean, count = _positives(anchors, queue, positives)
        positive = (scaled * mean).sum(1) - denominator
        centre = (scaled * targets.centres[targets.chosen]).sum(1) - denominator
    if positives is None:
        by_anchor = (count * positive + centre_weight * centre) / (count + 1)
    else:
        by_anchor = positive + centre_weight * centre
    return -(by_anchor * anchors.used).sum() / anchors.used.sum().clamp(min=1)


def _denominator(scaled: Tensor, anchors: Anchors, queue: LabelledBank, targets: Targets, dtype: torch.dtype) -> Tensor:
    """[n] log-sum-exp over queue, teacher's feature and centres; dtype: of the product that makes the gradient."""
    bias = torch.where(queue.labels >= 0, scaled.new_zeros(()), NEVER)
    entries: Tensor = _QueueLogSumExp.apply(scaled, queue.entries, bias, dtype)  # type: ignore[no-untyped-call]
    centres = (scaled @ targets.centres.t()).masked_fill(targets.masked, NEVER)
    twin = (scaled * single(anchors.teacher.detach())).sum(1, keepdim=True)
    return torch.logaddexp(entries, torch.cat((twin, centres), dim=1).logsumexp(1))


class _QueueLogSumExp(torch.autograd.Function):
    """log sum_j e^(x . e_j + b_j) for rows x [n, D] and constant entries e [S, D], b [S] -> [n].

    The gradient of a row is the softmax-weighted mean of the entries. It is computed on the way, `ENTRIES` at a time
    under a running maximum, so that the n x S logits (50 MB for 1,024 anchors) never leave the processor's cache and
    none are kept for backward. The mean is a product in `dtype`, as all gradients are under autocast; values are not.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor, entries: Tensor, bias: Tensor, dtype: torch.dtype) -> Tensor:
        top = rows.new_full((len(rows), 1), NEVER)
        total, means = torch.zeros_like(top), torch.zeros_like(rows)
        for some, own in zip(entries.split(ENTRIES), bias.split(ENTRIES), strict=True):
            logits = torch.addmm(own, rows, some.t())
            before, top = top, torch.maximum(top, logits.amax(1, keepdim=True))
            fade = (before - top).exp_()
            shares = logits.sub_(top).clamp_(min=NEGLIGIBLE).exp_()
            total = total.mul_(fade).add_(shares.sum(1, keepdim=True))
            means = means.mul_(fade).add_(shares.to(dtype) @ some.to(dtype))
        ctx.save_for_backward(means.div_(total))
        return (top + total.log()).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (means,) = ctx.saved_tensors
        return gradient.unsqueeze(1) * means, None, None, None


def _positives(anchors: Anchors, queue: LabelledBank, positives: PositiveDraw | None) -> tuple[Tensor, Tensor]:
    """Mean of each anchor's positives [n, D], without gradient, and their number [n]."""
    if positives is None:
        members = (anchors.labels.unsqueeze(1) == queue.labels).to(queue.entries.dtype)
        count, total = members.sum(1), members @ queue.entries
    else:
        count = positives.present * positives.entries.shape[1]
        total = queue.entries[positives.entries].sum(1) * positives.present.unsqueeze(1)
    mean = (single(anchors.teacher.detach()) + total) / (count + 1).unsqueeze(1)
    return mean, count + 1
