"""L_anco: active contrast of hard pixels with class means (You et al., ACTION, IPMI 2023; Liu et al., ReCo, ICLR 2022).

For each class k that is present (has a valid pixel), with r the representation of a pixel:
    positive   r+ = mean of r over the valid pixels of k
    queries    drawn with replacement from the hard ones among them, those with p_k < hard_below
    negatives  class v with probability softmax_v(cos(r+_k, r+_v) / tau) over present v != k, then a valid pixel of v
    loss       -log [e^(cos(r, r+) / tau) / (e^(cos(r, r+) / tau) + sum_n e^(cos(r, r_n) / tau))], mean over queries
The sum over classes is divided by the number of present classes, as in ReCo: a class without hard pixels adds nothing
and still counts. 0 where fewer than two classes are present. Means and negatives are the student's, without gradient.

Reading: one pool of negatives serves all queries of a class in a step; `per_query` draws anew for each query, as the
release does. The pool has the same expectation, since a query's own negatives are distributed alike in both.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.api.params import MethodParams, hyper
from harness.api.progress import Scalar
from methods.action_parts.arithmetic import NEVER, class_masks, draw_classes, draw_members, single, unrounded
from methods.action_parts.contrast_net import SampledFeatures


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


class AnatomicalContrast(NamedTuple):
    """The loss and the number of queries that it used, scalars."""

    loss: Tensor
    used: Tensor


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
    ours, theirs, targets = (F.normalize(single(one), dim=-1) for one in (queries, keys.detach(), means.detach()))
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
) -> AnatomicalContrast:
    """L_anco of a batch, labelled and pseudo-labelled images together.

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
    return AnatomicalContrast(loss, used)
