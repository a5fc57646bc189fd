"""Mean teacher: the step re-derived from recorded outputs, when its consistency starts, what its teacher sees."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from harness.api.losses import supervised_loss
from harness.api.progress import Progress
from methods.mean_teacher import MeanTeacher, MeanTeacherParams
from methods.supervised import Supervised
from tests.methods.test_losses import derived_cross_entropy, derived_dice, softmax
from tests.methods.test_ua_mt import Recorder, loss_of
from tests.methods.tiny import batch_for, build, optimiser, progress_at, step, step_loss


def mean_teacher(**params: object) -> MeanTeacher:
    method = build(MeanTeacher, params=params)
    assert isinstance(method, MeanTeacher)
    return method


def test_step_equals_an_independent_derivation() -> None:
    method = mean_teacher(consistency=3.0, ramp_end=0.8)
    batch = batch_for(method, 6)
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    got = loss_of(method, batch, share=0.6)
    (z,), (answers,) = ([each.double().numpy() for each in network.outputs] for network in (student, teacher))
    target = softmax(answers)
    labels = batch.labels.numpy()
    supervised = 0.5 * (derived_cross_entropy(z[:3], labels) + derived_dice(softmax(z[:3]), labels))
    consistency = ((softmax(z[3:]) - target) ** 2).mean()
    assert got["consistency"] == pytest.approx(consistency, rel=1e-4)
    assert got["total"] == pytest.approx(supervised + 3.0 * math.exp(-5 * 0.25**2) * consistency, rel=1e-5)


def test_teacher_sees_each_unlabelled_image_once_with_clipped_noise() -> None:
    method = mean_teacher()
    batch = batch_for(method, 6)
    teacher = Recorder(method.teacher)
    loss_of(method, batch)
    (seen,) = teacher.inputs
    noise = seen - batch.unlabelled[0]
    assert noise.abs().max().item() == pytest.approx(0.2, abs=1e-6)
    assert noise.var().item() == pytest.approx(0.0092054, rel=0.06)  # of a normal clipped at two sigma


def test_consistency_is_left_out_at_first() -> None:
    method = mean_teacher()
    (stage,) = method.stages
    before, after = (
        method.schedules(stage, Progress(run=0.9, stage=t / 30_000, step=t))["consistency_weight"] for t in (999, 1000)
    )
    assert before == 0.0
    assert after == pytest.approx(0.1 * math.exp(-5 * (1 - 1 / 30) ** 2))


def test_without_its_consistency_it_is_the_labelled_only_baseline() -> None:
    """Loss and gradients of the student, unlabelled images and dropout aside."""
    method, baseline = mean_teacher(), build(Supervised)
    for module in (*method.modules(), *baseline.modules()):
        if isinstance(module, torch.nn.Dropout | torch.nn.BatchNorm2d):
            module.eval()
    batch = batch_for(method)
    step_loss(method, batch, method.stages[0], progress_at(0.0)).total.backward()
    supervised_loss(baseline.predictor(batch.images), batch.labels).total.backward()
    for own, other in zip(method.predictor.parameters(), baseline.predictor.parameters(), strict=True):
        assert own.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_teacher_is_the_students_average() -> None:
    method = mean_teacher(ema_decay=0.25)
    sgd, batch = optimiser(method), batch_for(method)
    step(method, sgd, batch, 0)
    old = [p.clone() for p in method.teacher.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(old, method.student.parameters(), strict=True))
    step(method, sgd, batch, 1)
    for mean, before, now in zip(method.teacher.parameters(), old, method.student.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.25 * before + 0.75 * now, rtol=1e-5, atol=1e-7)
    assert method.predictor is method.student
    assert method.pseudo_label_network is method.teacher


@pytest.mark.parametrize("wrong", [{"consistency_start": 1.5}, {"noise": -1.0}, {"ema_decay": 2.0}])
def test_impossible_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MeanTeacherParams.model_validate(wrong)
