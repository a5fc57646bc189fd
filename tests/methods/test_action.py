from typing import Any

import pytest
import torch

from harness.api import pseudo_label, supervised_loss, views
from methods.action import ACTION, FineTuning
from methods.action_parts.pseudo import unsupervised_loss
from methods.action_pp import ACTIONPP
from tests.methods.references import distillation
from tests.methods.test_methods import same_state
from tests.methods.tiny import (
    Recorder,
    batch_for,
    build,
    enter,
    no_dropout,
    progress_at,
    stage_of,
    stage_step,
    step_loss,
)

STAGES = ("global", "local", "anatomical")
every_kind = pytest.mark.parametrize("kind", [ACTION, ACTIONPP], ids=lambda kind: kind.name)
every_stage = pytest.mark.parametrize("name", STAGES)


@every_kind
@every_stage
def test_three_steps_train_what_the_stage_is_for_and_nothing_else(kind, name):
    method = build(kind)
    stage, sgd = enter(method, name)
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    losses = [stage_step(method, stage, sgd, batch_for(method), t) for t in range(2)]
    taught = {n: p.clone() for n, p in method.teacher.named_parameters()}
    losses.append(stage_step(method, stage, sgd, batch_for(method), 2))
    for loss in losses:
        assert all(term.isfinite() and term.shape == () for term in (loss.total, *loss.terms.values()))
    moved = {n.rsplit(".", 2)[0] for n, p in method.named_parameters() if not torch.equal(p, before[n])}
    student = {
        "global": ("student.backbone.encoder", "student.whole", "whole.predictor"),
        "local": ("student.backbone", "student.whole", "student.local", "whole.predictor", "local.predictor"),
        "anatomical": ("student.backbone", "student.representation"),
    }[name]
    teacher = tuple(part.replace("student", "teacher") for part in student if part.startswith("student"))
    assert all(n.startswith((*student, *teacher)) for n in moved)
    assert all(any(n.startswith(part) for n in moved) for part in (*student, *teacher))
    assert all(p.grad is None for p in method.teacher.parameters())
    ours = dict(method.student.named_parameters())
    for n, mean in method.teacher.named_parameters():
        share = 0.01 if f"teacher.{n}".startswith(teacher) else 0.0
        torch.testing.assert_close(mean, taught[n].lerp(ours[n], share), rtol=0, atol=1e-7)
    trained = [p for group in sgd.param_groups for p in group["params"]]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


@every_kind
def test_fine_tuning_starts_with_a_teacher_that_is_the_student(kind):
    method = build(kind)
    stage, sgd = enter(method, "local")
    stage_step(method, stage, sgd, batch_for(method), 0)
    method.start_stage(stage)
    assert not same_state(method.student, method.teacher)
    for _ in range(2):
        method.start_stage(stage_of(method, "anatomical"))
        assert same_state(method.student, method.teacher)


@every_stage
def test_teacher_sees_the_weak_view_and_the_student_the_strong_one(name, monkeypatch):
    certain = views.Strength(jitter_probability=1.0, blur_probability=1.0)
    monkeypatch.setattr("methods.action.PRE_TRAINING", certain)
    monkeypatch.setattr("methods.action.FINE_TUNING", certain)
    for strong in (True, False):
        method = build(ACTION, strong=strong, mixing="none")
        batch = batch_for(method)
        weak = torch.cat((batch.images, *batch.unlabelled))
        stage, _ = enter(method, name)
        ours, theirs = (Recorder(net.backbone.encoder.stem) for net in (method.student, method.teacher))
        step_loss(method, batch, stage, progress_at(0.5))
        (seen,), (asked,) = ours.inputs, theirs.inputs
        assert torch.equal(asked, batch.unlabelled[0] if name == "anatomical" else weak)
        assert torch.equal(seen[2:], weak[2:]) is not strong
        assert torch.equal(seen[:2], weak[:2]) is (name == "anatomical" or not strong)


@pytest.mark.parametrize("mixing", ["classmix", "cutmix", "none"])
def test_mixing_replaces_some_pixels_by_the_partner_s(mixing):
    method = build(ACTION, mixing=mixing, strong=False)
    batch = batch_for(method)
    stage, _ = enter(method, "anatomical")
    ours = Recorder(method.student.backbone.encoder.stem)
    step_loss(method, batch, stage, progress_at(0.5))
    seen, (weak,) = ours.inputs[0][2:], batch.unlabelled
    kept = seen == weak
    assert bool((kept | (seen == weak.roll(1, dims=0))).all())
    assert bool(kept.all()) is (mixing == "none")


def test_global_stage_is_the_distillation_of_the_bottleneck():
    method = no_dropout(build(ACTION, strong=False))
    batch = batch_for(method)
    stage, _ = enter(method, "global")
    step_loss(method, batch, stage, progress_at(0.5))
    with torch.no_grad():  # away from the teacher, so that there is something to learn
        for p in method.student.whole.parameters():
            p.add_(0.1 * torch.randn_like(p))
    bank = method.whole.bank.entries[method.whole.bank.filled].clone()
    assert len(bank) == 4
    loss = step_loss(method, batch, stage, progress_at(0.5))
    images = torch.cat((batch.images, *batch.unlabelled))
    z_t = method.teacher.whole(method.teacher.backbone.encode(images)[-1])
    z_s = method.whole.predictor(method.student.whole(method.student.backbone.encode(images)[-1]))
    expected = distillation(z_s[:, None], z_t[:, None], list(bank[:, None]), 0.1, 0.01)
    assert loss.total.item() > 0.01
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-3)
    assert int(method.whole.bank.enqueued) == 8
    assert torch.allclose(method.whole.bank.entries[[4, 5, 0, 1]], z_t, atol=1e-5)  # six slots: two rows wrap


def test_local_stage_adds_supervision_and_windows():
    method = no_dropout(build(ACTION, strong=False))
    batch = batch_for(method)
    stage, _ = enter(method, "local")
    assert method.local.bank.entries.shape == (6, 49, 8 * 8 * 4)
    assert build(ACTION, window_border=False).local.bank.entries.shape == (6, 36, 8 * 8 * 4)
    for _ in range(2):
        with torch.no_grad():
            for p in method.student.local.parameters():
                p.add_(0.1 * torch.randn_like(p))
        bank = method.local.bank.entries[method.local.bank.filled].clone()
        loss = step_loss(method, batch, stage, progress_at(0.5))
    images = torch.cat((batch.images, *batch.unlabelled))
    logits = method.student.backbone(images)
    z_s = method.local.predictor(method.student.regions(logits))
    z_t = method.teacher.regions(method.teacher.backbone(images)).flatten(2)
    expected = distillation(z_s, z_t, list(bank), 0.1, 0.01)
    supervised = supervised_loss(logits[:2], batch.labels)
    assert loss.terms["local"].item() == pytest.approx(expected.item(), rel=1e-3)
    assert expected.item() > 1e-3
    assert loss.terms["ce"].item() == pytest.approx(supervised.terms["ce"].item(), rel=1e-4)
    total = supervised.total + expected + loss.terms["global"]
    assert loss.total.item() == pytest.approx(total.item(), rel=1e-3)


@every_kind
def test_fine_tuning_is_the_sum_of_its_parts(kind, monkeypatch):
    weights: dict[str, Any] = {"contrast_weight": 0.3, "confident": 0.3, "valid_above": 0.4, "unsupervised_weight": 0.5}
    method = no_dropout(build(kind, strong=False, mixing="none", **weights))
    batch = batch_for(method)
    stage, _ = enter(method, "anatomical")
    steps = list[FineTuning]()
    contrast = method._contrast

    def spy(step, taus):
        steps.append(step)
        return contrast(step, taus)

    monkeypatch.setattr(method, "_contrast", spy)
    loss = step_loss(method, batch, stage, progress_at(0.5))
    images = torch.cat((batch.images, *batch.unlabelled))
    logits = method.student.backbone(images)
    taught = method.teacher.backbone(images if kind is ACTIONPP else images[2:])[-2:]
    pseudo = pseudo_label(images[2:], taught)
    supervised = supervised_loss(logits[:2], batch.labels)
    unsupervised = unsupervised_loss(logits[2:], pseudo.labels, pseudo.confidence, 0.3)
    assert loss.terms["unsupervised"].item() == pytest.approx(unsupervised.item(), rel=1e-3)
    assert unsupervised.item() > 0.1
    contrasts = loss.terms["anatomical"] + loss.terms.get("supervised_contrast", 0.0)
    total = supervised.total + 0.5 * unsupervised + 0.3 * contrasts
    assert loss.total.item() == pytest.approx(total.item(), rel=1e-4)
    assert loss.terms["anatomical"].item() > 0.1
    (step,), sure = steps, pseudo.confidence >= 0.4
    assert 0.05 < sure.float().mean() < 0.95
    assert torch.equal(step.labels, torch.cat((batch.labels, pseudo.labels)))
    assert torch.equal(step.valid, torch.cat((torch.ones_like(sure), sure)))
    torch.testing.assert_close(step.probabilities, logits.softmax(dim=1))
    assert loss.terms["confident_pixels"].item() == (pseudo.confidence >= 0.3).sum().item()
    # four classes of given labels, all hard for an untrained network, eight queries each
    assert loss.terms["anatomical_queries"].item() == 32
    assert method.diagnostics()["anatomical_queries"] == 32


def test_only_confident_pseudo_labels_join_the_contrast():
    counts = []
    for above in (0.0, 1.0):
        method = build(ACTION, valid_above=above)
        loss = step_loss(method, batch_for(method), stage_of(method, "anatomical"), progress_at(0.5))
        counts.append(loss.terms["valid_pixels"].item())
    assert counts == [4 * 32 * 32, 2 * 32 * 32]
