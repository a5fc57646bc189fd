import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.action_parts.neighbours import Bank, LabelledBank, distillation_loss
from tests.methods.references import distillation


def vectors(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def gradient(loss, of):
    return torch.autograd.grad(loss, of)[0]


@pytest.mark.parametrize("pushed", [0, 1, 2, 5, 11])  # empty, one, some, all but one, wrapped
@pytest.mark.parametrize("temperatures", [(0.1, 0.01), (0.5, 1.0)])
def test_local_loss_equals_the_loops(pushed, temperatures):
    torch.manual_seed(pushed)
    bank = Bank(6, 3, 4).double()
    rows = torch.randn(max(pushed, 1), 3, 4, dtype=torch.float64)
    if pushed:
        bank.enqueue(rows)
    student, teacher = vectors(2, 3, 4), vectors(2, 3, 4)
    kept = list(rows[:pushed][-6:])
    expected = distillation(student, teacher, kept, *temperatures)
    found = distillation_loss(student, teacher, bank.entries, bank.filled, *temperatures)
    assert found.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    assert (expected.item() > 0) == (pushed > 1)
    torch.testing.assert_close(gradient(found, student), gradient(expected, student), rtol=1e-8, atol=1e-12)


sizes = st.integers(1, 7)
pushes = st.lists(st.lists(st.integers(-1, 3), min_size=1, max_size=20), max_size=8)


def slots(history, size):
    """What a ring of `size` slots holds after all of history was written, one after the other; -1 where nothing."""
    ring = [-1] * size
    for n, value in enumerate(history):
        ring[n % size] = value
    return ring


@given(size=sizes, pushes=pushes)
def test_labelled_bank_passes_rows_over(size, pushes):
    bank, kept, labels = LabelledBank(size, 1), list[int](), list[int]()
    number = 0
    for push in pushes:
        rows = torch.arange(number + 1, number + 1 + len(push), dtype=torch.float32).unsqueeze(1)
        bank.enqueue_labelled(rows, torch.tensor(push))
        kept.extend(int(row) for row, label in zip(rows[:, 0], push, strict=True) if label >= 0)
        labels.extend(label for label in push if label >= 0)
        number += len(push)
    assert bank.entries[:, 0].tolist() == [max(n, 0) for n in slots(kept, size)]
    assert bank.labels.tolist() == slots(labels, size)
    assert bank.filled.equal(bank.labels >= 0)
