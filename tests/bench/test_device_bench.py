import torch

from tests.bench.device import agreement
from tests.bench.device.common import Asked, started
from tests.bench.device.counted import count

LIKE_A_GPU = torch.device("cpu", 0)
"""The same device under another name."""


def asked(*names, precisions=("float32",), tree=None):
    return Asked(LIKE_A_GPU, (16, 16), 4, 2, names, precisions, tree)


def test_work_is_counted_as_by_hand():
    first, second, row = torch.randn(3, 4), torch.randn(4, 5), torch.randn(1, 5)
    product = count(lambda: first @ second)
    assert (product.flops, product.bytes, product.calls) == (2 * 3 * 4 * 5, 4 * (12 + 20 + 15), 1)
    total = torch.zeros(3, 5)
    added = count(lambda: total.add_(row.expand(3, 5)))
    assert (added.flops, added.bytes, added.calls) == (0, 4 * (15 + 5 + 15), 1)
    assert count(lambda: torch.empty(9).view(3, 3).t()).calls == 0


def test_a_device_that_computes_otherwise_is_found(monkeypatch):
    def off(name, what, device, precision):
        state, stage = started(name, what, device, precision)
        if device == LIKE_A_GPU:
            with torch.no_grad():
                next(state.method.predictor.parameters()).mul_(1.1)
        return state, stage

    (row,) = agreement.correct(asked("ua_mt/train"))
    assert (row["loss"], row["weights"], row["agree"]) == (0.0, 0.0, True)
    monkeypatch.setattr(agreement, "started", off)
    (row,) = agreement.correct(asked("ua_mt/train"))
    assert row["agree"] is False
