import pytest
import torch

from methods.cps import CPS
from tests.methods.test_losses import derived_cross_entropy, derived_supervised
from tests.methods.tiny import RAMP, RAMPED, Recorder, batch_for, build, loss_of


def test_step_equals_an_independent_derivation():
    method = build(CPS, **RAMP)
    batch = batch_for(method, 6)
    recorders = Recorder(method.first), Recorder(method.second)
    got = loss_of(method, batch, share=0.6)
    z, labels = [each.arrays()[0] for each in recorders], batch.labels.numpy()
    supervised = [derived_supervised(e[:3], labels) for e in z]
    forth = derived_cross_entropy(z[0][3:], z[1][3:].argmax(axis=1))
    back = derived_cross_entropy(z[1][3:], z[0][3:].argmax(axis=1))
    assert got["pseudo"] == pytest.approx(forth + back, rel=1e-5)
    assert got["total"] == pytest.approx(sum(supervised) + RAMPED * (forth + back), rel=1e-5)


def test_the_first_network_is_tested_and_learns_from_the_second():
    method = build(CPS)
    pairs = zip(method.first.parameters(), method.second.parameters(), strict=True)
    assert not any(torch.equal(a, b) for a, b in pairs if a.ndim > 1), "they differ from the start"
    assert method.predictor is method.first
    assert method.pseudo_label_network is method.second
