import numpy as np
import pytest
from scipy.special import expit

from methods.dtc import DTC
from tests.methods.test_distance import derived
from tests.methods.test_losses import derived_cross_entropy, derived_dice, softmax
from tests.methods.tiny import RAMP, RAMPED, Recorder, batch_for, build, loss_of


def test_step_equals_an_independent_derivation():
    method = build(DTC, **RAMP, distance_weight=0.7, steepness=40.0)
    batch = batch_for(method, 6)
    network = Recorder(method.net)
    got = loss_of(method, batch, share=0.6)
    ((z, s),) = network.arrays()
    p, labels = softmax(z), batch.labels.numpy()
    dice = derived_dice(p[:3], labels)
    given = np.stack([[derived(image == c) for c in (1, 2, 3)] for image in labels])
    distance = ((s[:3] - given) ** 2).mean()
    consistency = ((expit(-40.0 * s) - p[:, 1:]) ** 2).mean()
    assert got["dice"] == pytest.approx(dice, rel=1e-5)
    assert got["distance"] == pytest.approx(distance, rel=1e-5)
    assert got["consistency"] == pytest.approx(consistency, rel=1e-4)
    assert got["ce"] == pytest.approx(derived_cross_entropy(z[:3], labels), rel=1e-5)
    assert got["total"] == pytest.approx(dice + 0.7 * distance + RAMPED * consistency, rel=1e-4)
