import pytest
import torch
from torch import nn

from harness.api.consistency import ema_decay, ema_update, teacher_of


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def fill(module: nn.Module, value: float) -> None:
    for p in module.parameters():
        p.data.fill_(value)


@pytest.mark.parametrize(
    ("step", "decay"),
    [(0, 0.0), (1, 0.5), (2, 2 / 3), (3, 0.75), (98, 1 - 1 / 99), (99, 0.99), (100, 0.99), (30_000, 0.99)],
)
def test_decay_by_hand(step: int, decay: float):
    assert ema_decay(step, 0.99) == pytest.approx(decay, rel=1e-12)


def test_buffers_are_left_alone():
    student, teacher = net(), net()
    student(torch.rand(4, 1, 8, 8))
    before = {name: b.clone() for name, b in teacher.named_buffers()}
    ema_update(teacher, student, 0.0)
    assert all(torch.equal(b, before[name]) for name, b in teacher.named_buffers())


def test_teacher_is_a_copy_that_nothing_trains_and_no_random_number_pays_for():
    student = net()
    state = torch.get_rng_state()
    teacher = teacher_of(student)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.parameters())
    fill(student, 5.0)
    assert not any((p == 5.0).all() for p in teacher.parameters())
