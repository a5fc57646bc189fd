import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import ConsistencyParams, Progress, ema_update
from methods.mean_teacher import MeanTeacher
from tests.methods.test_losses import derived_supervised, softmax
from tests.methods.tiny import RAMP, RAMPED, Recorder, batch_for, build, loss_of, optimiser, progress_at, step


def test_step_equals_an_independent_derivation():
    method = build(MeanTeacher, **RAMP)
    batch = batch_for(method, 6)
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    got = loss_of(method, batch, share=0.6)
    (z,), (answers,) = student.arrays(), teacher.arrays()
    (seen,), (noisy,), (unlabelled,) = student.inputs, teacher.inputs, batch.unlabelled
    assert torch.equal(seen, torch.cat((batch.images, unlabelled)))
    assert (noisy - unlabelled).std().item() == pytest.approx(0.1, rel=0.1)
    target = softmax(answers)
    labels = batch.labels.numpy()
    supervised = derived_supervised(z[:3], labels)
    consistency = ((softmax(z[3:]) - target) ** 2).mean()
    assert got["consistency"] == pytest.approx(consistency, rel=1e-4)
    assert got["total"] == pytest.approx(supervised + RAMPED * consistency, rel=1e-5)


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
    ema_update(method.teacher, method.student, torch.tensor(0.25))  # as where steps are captured
    for mean, before, now in zip(method.teacher.parameters(), old, method.student.parameters(), strict=True):
        torch.testing.assert_close(mean, 0.0625 * before + 0.9375 * now, rtol=1e-5, atol=1e-7)
    assert method.predictor is method.student
    assert method.pseudo_label_network is method.teacher


@given(iteration=st.integers(0, 15_000))
def test_stairs_with_an_earlier_end_are_mc_nets_on_the_left_atrium(iteration):
    expected = math.exp(-5 * (1 - min(iteration // 150, 40) / 40) ** 2)
    params = ConsistencyParams(consistency=1.0, ramp_end=0.4, ramp_stairs=100)
    assert params.weight(progress_at(iteration / 15_000)) == pytest.approx(expected, rel=1e-9)
