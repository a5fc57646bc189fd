"""A step's contrastive part on the meta device, where values do not exist: reading one on the host would raise."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from methods.action_parts.contrast_net import (
    GlobalProjector,
    LocalProjector,
)
from methods.action_parts.neighbours import Bank, LabelledBank, distillation_loss
from methods.action_parts.pixel_contrast import (
    AnatomicalParams,
    Anchors,
    PositiveDraw,
    Targets,
    anatomical_contrast,
    draw_anchors,
    draw_positives,
    supervised_contrast_loss,
)
from methods.action_parts.representation import RepresentationHead, SampledFeatures

WIDTHS = (8, 4, 2)
CLASSES = 4


def labelled_batch(size: tuple[int, ...]) -> tuple[list[Tensor], Tensor, Tensor]:
    """Decoder maps, logits and labels of two images, on the default device."""
    maps = [torch.randn(2, w, *(n // 2 ** (2 - i) for n in size)).requires_grad_() for i, w in enumerate(WIDTHS)]
    return maps, torch.randn(2, CLASSES, *size), torch.randint(CLASSES, (2, *size))


def contrast(size: tuple[int, ...], per_query: bool, release: bool) -> tuple[Tensor, list[Tensor]]:
    """L_anco + L_aaco and the tensors that learn from it."""
    maps, logits, labels = labelled_batch(size)
    head, queue = RepresentationHead(sum(WIDTHS), len(size), 10, 8), LabelledBank(50, 8)
    features = SampledFeatures(head, maps)
    settings = AnatomicalParams(queries=6, keys=9, per_query=per_query)
    anatomical = anatomical_contrast(features, logits.softmax(1), labels, labels > 0, 0.1, settings)
    draw = draw_anchors(labels, CLASSES, 5)
    with torch.no_grad():
        teacher = F.normalize(features.at(draw.positions), dim=1)
    anchors = Anchors(F.normalize(features.at(draw.positions), dim=1), teacher, draw.labels, draw.used)
    targets = Targets(torch.randn(CLASSES, 8), draw.labels, torch.zeros(20, CLASSES, dtype=torch.bool))
    positives: PositiveDraw | None = None if release else draw_positives(queue.labels, draw.labels, CLASSES, 6)
    supervised = supervised_contrast_loss(anchors, queue, targets, positives, 0.1, 0.2)
    queue.enqueue_labelled(teacher, torch.where(draw.used, draw.labels, -1))
    return anatomical.total + supervised, [*maps, *head.parameters()]


def distillation(size: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
    """Global and local distillation and the tensors that learn from them."""
    maps, logits, _ = labelled_batch(size)
    logits.requires_grad_()
    whole, local = GlobalProjector(8, 8, 6), LocalProjector(CLASSES, side=2)
    vectors = local(logits, [n // 4 for n in size], [n // 8 for n in size]).flatten(2)
    images, patches = Bank(7, 6), Bank(7, *vectors.shape[1:])
    loss = distillation_loss(vectors, 2 * vectors, patches.entries, patches.filled, 0.1, 0.01)
    loss = loss + distillation_loss(whole(maps[0]), whole(maps[0]), images.entries, images.filled, 0.1, 0.01)
    images.enqueue(whole(maps[0]))
    patches.enqueue(vectors)
    return loss, [maps[0], logits, *whole.parameters(), *local.parameters()]


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("size", [(16, 24), (8, 8, 16)])
@pytest.mark.parametrize("per_query", [False, True])
def test_fine_tuning_reads_nothing_on_the_host(size: tuple[int, ...], per_query: bool, device: str) -> None:
    with torch.device(device):
        loss, leaves = contrast(size, per_query, release=per_query)
    gradients = torch.autograd.grad(loss, leaves)
    assert [one.shape for one in gradients] == [leaf.shape for leaf in leaves]
    assert device == "meta" or all(one.isfinite().all() for one in gradients)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("size", [(16, 24), (8, 8, 16)])
def test_distillation_reads_nothing_on_the_host(size: tuple[int, ...], device: str) -> None:
    with torch.device(device):
        loss, leaves = distillation(size)
    gradients = torch.autograd.grad(loss, leaves)
    assert [one.shape for one in gradients] == [leaf.shape for leaf in leaves]
    assert device == "meta" or all(one.eq(0).all() for one in gradients)  # the banks are empty


def test_a_planted_host_copy_is_found() -> None:
    with torch.device("meta"), pytest.raises((RuntimeError, NotImplementedError)):
        torch.ones(3).sum().item()
