import torch

from tests.bench.device import agreement
from tests.bench.device.common import Asked, started

LIKE_A_GPU = torch.device("cpu", 0)
"""The same device under another name."""


def asked(*names, precisions=("float32",), tree=None):
    return Asked(LIKE_A_GPU, (16, 16), 4, 2, names, precisions, tree)


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
