from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harness.api import Progress
from methods.action import ACTION
from methods.action_parts.pixel_contrast import draw_anchors
from methods.action_pp import ACTIONPP
from tests.methods.references import dense_features, supervised_contrast
from tests.methods.tiny import (
    batch_for,
    build,
    enter,
    finish_step,
    no_dropout,
    progress_at,
    stage_of,
    stage_step,
    step_loss,
)

CONSTANT: dict[str, Any] = {
    "student_temperature": {"family": "constant", "tau": 0.1},
    "teacher_temperature": {"family": "constant", "tau": 0.01},
    "anatomical_temperature": {"family": "constant", "tau": 0.5},
    "supervised_temperature": {"family": "constant", "tau": 0.1},
}


def fine_tuned(method):
    torch.manual_seed(3)
    return step_loss(method, batch_for(method), stage_of(method, "anatomical"), progress_at(0.5))


def test_it_is_action_plus_the_supervised_contrast():
    with_it = fine_tuned(build(ACTIONPP, contrast_weight=0.5, **CONSTANT))
    without = fine_tuned(build(ACTION, contrast_weight=0.5))
    names = with_it.terms.keys() - without.terms.keys()
    assert names == {"supervised_contrast", "supervised_anchors", "assignment_changes"}
    parts = with_it.terms
    total = 0.5 * (parts["ce"] + parts["dice"]) + parts["unsupervised"]
    total = total + 0.5 * (parts["anatomical"] + parts["supervised_contrast"])
    assert with_it.total.item() == pytest.approx(total.item(), rel=1e-5)
    assert parts["supervised_contrast"].item() > 0.1
    assert parts["supervised_anchors"].item() == 32  # eight of each of four classes


@pytest.mark.parametrize(
    "params", [{}, {"centers": False}, {"contrast_form": "release", "allocation": "frequency"}], ids=str
)
def test_supervised_contrast_compares_student_and_teacher_at_the_same_labelled_pixels(params, monkeypatch):
    method = no_dropout(build(ACTIONPP, mixing="none", strong=False, eta=0.3, **CONSTANT | params))
    centres = method.allocation.centres
    torch.testing.assert_close(centres @ centres.T, (4 * torch.eye(4) - 1) / 3)
    method.allocation.prototypes.copy_(centres)
    with torch.no_grad():  # a teacher of its own
        for p in method.teacher.parameters():
            p.mul_(1.1)
    drawn = []
    remember = method._remember

    def spy(draw, *rest):
        drawn.append(draw.positions)
        remember(draw, *rest)

    monkeypatch.setattr(method, "_remember", spy)
    batch = batch_for(method)
    loss = fine_tuned(method)
    (positions,) = drawn
    labels = batch.labels.flatten()[positions]
    assert labels.bincount().tolist() == [8, 8, 8, 8]
    images = torch.cat((batch.images, *batch.unlabelled))
    student, teacher = (
        F.normalize(dense_features(net.representation, net(images).maps)[positions], dim=1).detach()
        for net in (method.student, method.teacher)
    )
    assert torch.allclose(method.queue.entries[:32], teacher, atol=1e-4)
    assert method.queue.labels[:32].tolist() == labels.tolist()
    means = F.normalize(torch.stack([student[labels == c].sum(dim=0) for c in range(4)]), dim=1)
    assert torch.allclose(method.allocation.prototypes, F.normalize(0.7 * centres + 0.3 * means, dim=1), atol=1e-4)
    counted = batch.labels.flatten().bincount() * ("allocation" in params)
    assert torch.equal(method.allocation.voxels, counted)
    without = "centers" in params
    masked, chosen = [[without] * 4 for _ in labels], method.allocation.assignment[labels].tolist()
    no_entry = None if "contrast_form" in params else [list[int]() for _ in labels]
    weight = 0.0 if without else 0.2
    expected = supervised_contrast(
        student, teacher, labels.tolist(), [], centres, chosen, masked, no_entry, tau=0.1, weight=weight
    ).item()
    assert loss.terms["supervised_contrast"].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert (expected > 0.1) is not without


def test_of_a_class_that_the_batch_lacks_nothing_is_remembered():
    method, labels = build(ACTIONPP), torch.tensor([[[0, 1]]])
    features = F.normalize(torch.randn(32, 16), dim=1)
    method._remember(draw_anchors(labels, 4, 8), features, features, labels)
    assert method.queue.labels.unique().tolist() == [-1, 0, 1]
    assert not method.allocation.prototypes[2:].any()


def test_centres_are_allotted_at_the_stage_s_start_and_at_each_hundredth(monkeypatch):
    method = build(ACTIONPP)
    calls = []
    reassign = method.allocation.reassign

    def spy(*pixels):
        calls.append(bool(pixels))
        reassign(*pixels)

    monkeypatch.setattr(method.allocation, "reassign", spy)
    stage, sgd = enter(method, "global")
    stage_step(method, stage, sgd, batch_for(method), 5)
    assert calls == []
    stage, sgd = enter(method, "anatomical")
    assert calls == [False]
    for share in (0.0, 0.004, 0.009, 0.011, 0.012, 0.019, 0.025, 0.999):
        finish_step(method, stage, Progress(run=share, stage=share, step=1))
        calls.append(share > 1)  # False: separates the steps
    assert calls[1:] == [False] * 3 + [True] + [False] * 3 + [True, False] + [True, False]


def test_adaptive_allocation_follows_the_prototypes_and_random_does_not():
    found = {}
    for mode in ("adaptive", "random"):
        method = build(ACTIONPP, allocation=mode)
        stage, _ = enter(method, "anatomical")
        before = method.allocation.assignment.clone()
        target = before.roll(1)
        method.allocation.prototypes.copy_(method.allocation.centres[target])
        finish_step(method, stage, Progress(run=0.0, stage=0.02, step=1))
        after = method.allocation.assignment
        found[mode] = (torch.equal(after, target), torch.equal(after, before))
        assert method.diagnostics()["assignment_changes"] == (4 if mode == "adaptive" else 0)
    assert found == {"adaptive": (True, False), "random": (False, True)}


def test_temperatures_follow_the_stage_s_progress():
    """A quarter through a stage the cosine of one period is halfway between its ends."""
    method, progress = build(ACTIONPP), Progress(run=0.9, stage=0.25, step=7)
    found = [dict(method.schedules(stage, progress)) for stage in method.stages]
    pre = {"temperature_student": pytest.approx(0.55), "temperature_teacher": pytest.approx(0.505)}
    last = {"temperature_anatomical": pytest.approx(0.55), "temperature_supervised": pytest.approx(0.55)}
    assert found == [pre, pre, last]
