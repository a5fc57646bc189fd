import math

import pytest
import torch

from harness.api.progress import Progress
from methods.mean_teacher import MeanTeacher
from tests.methods.test_losses import derived_cross_entropy, derived_dice, softmax
from tests.methods.tiny import Recorder, batch_for, build, loss_of, optimiser, step


def test_step_equals_an_independent_derivation():
    method = build(MeanTeacher, consistency=3.0, ramp_end=0.8)
    batch = batch_for(method, 6)
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    got = loss_of(method, batch, share=0.6)
    (z,), (answers,) = student.arrays(), teacher.arrays()
    target = softmax(answers)
    labels = batch.labels.numpy()
    supervised = 0.5 * (derived_cross_entropy(z[:3], labels) + derived_dice(softmax(z[:3]), labels))
    consistency = ((softmax(z[3:]) - target) ** 2).mean()
    assert got["consistency"] == pytest.approx(consistency, rel=1e-4)
    assert got["total"] == pytest.approx(supervised + 3.0 * math.exp(-5 * 0.25**2) * consistency, rel=1e-5)


def test_consistency_is_left_out_at_first():
    method = build(MeanTeacher)
    (stage,) = method.stages
    before, after = (
        method.schedules(stage, Progress(run=0.9, stage=t / 30_000, step=t))["consistency_weight"] for t in (999, 1000)
    )
    assert before == 0.0
    assert after == pytest.approx(0.1 * math.exp(-5 * (1 - 1 / 30) ** 2))


def test_teacher_is_the_students_average():
    method = build(MeanTeacher, ema_decay=0.25)
    sgd, batch = optimiser(method), batch_for(method)
    step(method, sgd, batch, 0)
    old = [p.clone() for p in method.teacher.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(old, method.student.parameters(), strict=True))
    step(method, sgd, batch, 1)
    for mean, before, now in zip(method.teacher.parameters(), old, method.student.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.25 * before + 0.75 * now, rtol=1e-5, atol=1e-7)
    assert method.predictor is method.student
    assert method.pseudo_label_network is method.teacher
