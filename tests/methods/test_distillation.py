import pytest
import torch
from torch import Tensor

from methods.action_parts.neighbours import Bank, distillation_loss
from tests.methods.references import distillation


def vectors(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def gradient(loss: Tensor, of: Tensor) -> Tensor:
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


def test_no_rounding_under_autocast():
    torch.manual_seed(0)
    student, teacher, anchors = torch.randn(2, 8), torch.randn(2, 8), torch.randn(4, 8)
    arguments = (student, teacher, anchors, torch.ones(4, dtype=torch.bool), 0.1, 0.01)
    expected = distillation_loss(*arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert distillation_loss(*arguments).equal(expected)
