import math

import numpy as np
import pytest
import torch

from methods.ua_mt import UAMT, masked_consistency
from tests.methods.test_losses import derived_supervised, softmax
from tests.methods.tiny import RAMP, RAMPED, Recorder, batch_for, build, loss_of, optimiser, step

# Two pixels of two classes.
P = torch.tensor([[[0.7, 0.5], [0.3, 0.5]]], dtype=torch.float64)
TARGET = torch.tensor([[[0.9, 0.2], [0.1, 0.8]]], dtype=torch.float64)


def test_with_everything_masked_loss_and_gradients_are_zero_in_float32():
    p = P.float().requires_grad_()
    loss = masked_consistency(p, TARGET.float(), torch.zeros(1, 2), 2)
    assert loss.item() == 0.0
    assert torch.autograd.grad(loss, p)[0].eq(0).all()


@pytest.mark.parametrize(("scale", "levels"), [("binary", 2), ("classes", 4)])
def test_step_equals_an_independent_derivation(scale, levels):
    method = build(UAMT, entropy_scale=scale, passes=4, **RAMP)
    batch = batch_for(method, 6)
    with torch.no_grad():  # make the teacher certain of some pixels, not of all
        method.teacher.state_dict()["decoder.head.weight"].mul_(8.0)
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    got = loss_of(method, batch, share=0.6)

    (z,) = student.arrays()
    target, *pairs = map(softmax, teacher.arrays())
    passes = [half for pair in pairs for half in (pair[:3], pair[3:])]
    mean = sum(passes) / 4
    uncertainty = -(mean * np.log(mean + 1e-6)).sum(axis=1)
    mask = uncertainty < (0.75 + 0.25 * math.exp(-5 * 0.4**2)) * math.log(levels)
    consistency = (mask * ((softmax(z[3:]) - target) ** 2).sum(axis=1)).sum() / (levels * mask.sum())
    labels = batch.labels.numpy()
    supervised = derived_supervised(z[:3], labels)
    assert 0.05 < mask.mean() < 0.95
    assert got["mask_share"] == pytest.approx(mask.mean(), abs=1e-3)
    assert got["consistency"] == pytest.approx(consistency, rel=1e-3)
    assert got["total"] == pytest.approx(supervised + RAMPED * consistency, rel=1e-4)


def test_teacher_noise_is_clipped_normal_and_fresh_for_every_image_and_pass():
    method = build(UAMT)
    batch = batch_for(method, 6)
    teacher = Recorder(method.teacher)
    loss_of(method, batch)
    clean = batch.unlabelled[0]
    noise = torch.cat([x - clean.repeat(len(x) // 3, 1, 1, 1) for x in teacher.inputs])
    assert noise.abs().max().item() == pytest.approx(0.2, abs=1e-6)
    # The variance of a normal clipped at two sigma is .92054 sigma^2; 27,648 draws leave it to within 3 %.
    assert noise.var().item() == pytest.approx(0.0092054, rel=0.03)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.003)
    assert len({tuple(each.flatten().tolist()) for each in noise}) == len(noise)


def test_teacher_follows_the_student_by_steps_and_keeps_its_own_statistics():
    method = build(UAMT, ema_decay=0.6)
    batch, sgd = batch_for(method), optimiser(method)
    expected = list[torch.Tensor]()
    for t, decay in enumerate([0.0, 0.5, 0.6, 0.6]):
        step(method, sgd, batch, t)
        students = [p.detach().clone() for p in method.student.parameters()]
        old = expected or students
        expected = [decay * e + (1 - decay) * s for e, s in zip(old, students, strict=True)]
        teachers = list(method.teacher.parameters())
        assert all(torch.allclose(p, e, atol=1e-6) for p, e in zip(teachers, expected, strict=True))
    ours, theirs = (
        dict(net.named_buffers())["encoder.stem.1.running_mean"] for net in (method.student, method.teacher)
    )
    assert not torch.allclose(ours, theirs)
