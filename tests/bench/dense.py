"""The last stage of ACTION and ACTION++ written down plainly: what `make bench` measures the product's step against.

The same networks, views and losses. The representation head runs on every pixel of maps upsampled to the image; each
query has 512 keys of its own, drawn in Python loops over classes, queries and negative classes, as the release does;
similarities with the whole queue are one matrix that autograd keeps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.api.consistency import teacher_of
from harness.api.dataset import Task
from harness.api.method import Loss
from harness.api.progress import Scalar
from methods.action import ACTION, ActionParams, FineTuning, Taus
from methods.action_parts.arithmetic import class_masks
from methods.action_parts.contrast_net import ContrastNet
from methods.action_parts.pixel_contrast import (
    AnatomicalDraw,
    AnatomicalParams,
    Anchors,
    anatomical_loss,
    draw_positives,
)
from methods.action_parts.representation import RepresentationHead, SampledFeatures
from methods.action_pp import ACTIONPP
from tests.methods.references import dense_features

OUT = -1e4


class DensePixels(SampledFeatures):
    """Features of all pixels, computed at once."""

    def __init__(self, head: RepresentationHead, maps: Sequence[Tensor]) -> None:
        self.table = dense_features(head, maps)

    def at(self, positions: Tensor) -> Tensor:
        """Looked up."""
        return self.table[positions]

    def means(self, masks: Tensor) -> Tensor:
        """Class by class."""
        table = self.table.detach()
        return torch.stack([table[mask].mean(0) if mask.any() else torch.zeros_like(table[0]) for mask in masks])


class DenseNet(ContrastNet):
    """The common network with a dense head."""

    def pixels(self, maps: list[Tensor]) -> SampledFeatures:
        """All of them."""
        return DensePixels(self.representation, maps)


class DenseACTION(ACTION):
    """ACTION with dense heads and loops."""

    def __init__(self, task: Task, params: ActionParams) -> None:
        super().__init__(task, params)
        self.student = DenseNet(task, params.dimension, params.window_border)
        self.teacher = teacher_of(self.student)

    def _contrast(self, step: FineTuning, taus: Taus) -> Loss:
        settings, tau = self.params, taus["anatomical"]
        masks = class_masks(step.labels, self.task.n_classes) & step.valid.flatten()
        hard = masks & (step.probabilities.transpose(0, 1).flatten(1) < settings.hard_below)
        means = step.pixels.means(masks)
        draw = looped_draw(masks, hard, means, tau, settings)
        loss = anatomical_loss(step.pixels.at(draw.queries), step.pixels.at(draw.keys), means, draw, tau)
        return Loss(loss, {"anatomical": loss, "anatomical_queries": loss.new_zeros(())})


def looped_draw(
    masks: Tensor, hard: Tensor, means: Tensor, temperature: Scalar, settings: AnatomicalParams
) -> AnatomicalDraw:
    """Queries [K, Q] and keys [K, Q, M] of their own, one query and one negative class after the other."""
    queries = torch.zeros(len(masks), settings.queries, dtype=torch.long, device=masks.device)
    keys = torch.zeros(len(masks), settings.queries, settings.keys, dtype=torch.long, device=masks.device)
    members = [mask.nonzero().flatten() for mask in masks]
    present = [k for k, own in enumerate(members) if len(own)]
    for k in present:
        hard_ones = hard[k].nonzero().flatten()
        others = [v for v in present if v != k]
        if not len(hard_ones) or not others:
            continue
        queries[k] = hard_ones[torch.randint(len(hard_ones), (settings.queries,), device=masks.device)]
        relation = F.cosine_similarity(means[k].unsqueeze(0), means[others]).div(temperature).softmax(0)
        drawn = relation.multinomial(settings.queries * settings.keys, replacement=True).view(settings.queries, -1)
        for query, classes in enumerate(drawn):
            own_keys = []
            for number, v in enumerate(others):
                count = int((classes == number).sum())
                own_keys.append(members[v][torch.randint(len(members[v]), (count,), device=masks.device)])
            keys[k, query] = torch.cat(own_keys)
    return AnatomicalDraw(queries, keys, masks.any(1), hard.any(1))


class DenseACTIONPP(ACTIONPP, DenseACTION):
    """ACTION++ likewise."""

    def _supervised_contrast(self, anchors: Anchors, tau: Scalar) -> Tensor:
        params, allocation = self.params, self.allocation
        chosen = allocation.target(anchors.student, anchors.labels)
        masked = allocation.own_class_mask(anchors.labels, chosen) | (not params.centers)
        draw = draw_positives(self.queue.labels, anchors.labels, self.task.n_classes, params.positives)
        twin = (anchors.student * anchors.teacher).sum(1, keepdim=True)
        queue = (anchors.student @ self.queue.entries.t()).masked_fill(self.queue.labels < 0, OUT)
        centres = anchors.student @ allocation.centres.t()
        logits = torch.cat((twin, queue, centres.masked_fill(masked, OUT)), dim=1) / tau
        norm = logits.logsumexp(1, keepdim=True)
        share = (logits[:, 1:].gather(1, draw.entries) - norm) * draw.present.unsqueeze(1)
        own = logits[:, :1] - norm
        positives = (share.sum(1) + own.squeeze(1)) / (1 + draw.present * params.positives)
        centre = centres.gather(1, chosen.unsqueeze(1)) / tau - norm
        by_anchor = positives + params.lambda_a * params.centers * centre.squeeze(1)
        return -(by_anchor * anchors.used).sum() / anchors.used.sum().clamp(min=1)
