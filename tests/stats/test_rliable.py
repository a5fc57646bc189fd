import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.rliable import TAUS, improvement, profile, wins

coarse = st.integers(0, 5).map(lambda i: i / 5)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_wins_agree_with_all_pairs_of_runs(data):
    patients = data.draw(st.integers(1, 4))
    scores = [
        data.draw(arrays(np.float64, (patients, data.draw(st.integers(1, 4))), elements=coarse))
        for _ in range(data.draw(st.integers(2, 4)))
    ]
    shares = wins(scores)
    for i, x in enumerate(scores):
        for j, y in enumerate(scores):
            pairs = x[:, :, None] - y[:, None, :]
            assert shares[i, j] == pytest.approx((pairs > 0).mean(axis=(1, 2)) + 0.5 * (pairs == 0).mean(axis=(1, 2)))
    assert shares + shares.transpose(1, 0, 2) == pytest.approx(np.ones_like(shares))


def test_improvement_is_the_mean_over_patients_with_their_interval():
    """Two patients of 20 are drawn 5 times or more in 4.3 % of the resamples, 6 times or more in 1.1 %."""
    few = np.repeat([1.0, 0.0], [2, 18])
    mean, low, high = improvement(np.column_stack([1.0 - few, few, np.ones(20)]))
    assert mean.tolist() == pytest.approx([0.9, 0.1, 1.0])
    assert (low[0], high[1]) == pytest.approx((0.75, 0.25))
    assert (low[2], high[2]) == pytest.approx((1.0, 1.0))
    bands = profile(0.8 * few[:, None] + 0.1)
    assert (bands.high[50], bands.simultaneous_high[50]) == pytest.approx((0.25, 0.1 + 0.1 * math.sqrt(20 / 19)))
    assert np.isnan(improvement(np.ones((2, 1)))[1]).all()


@settings(max_examples=15, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(3, 8), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_a_profile_falls_and_lies_within_its_bands(values):
    estimate = profile(values)
    assert estimate.share == pytest.approx([(values > tau).mean() for tau in TAUS])
    assert (np.diff(estimate.share) <= 1e-12).all()
    for low, high in ((estimate.low, estimate.high), (estimate.simultaneous_low, estimate.simultaneous_high)):
        assert (low <= estimate.share + 1e-12).all()
        assert (estimate.share <= high + 1e-12).all()


def test_simultaneous_bands_hold_the_whole_curve_where_pointwise_bands_do_not():
    generator, simulations = np.random.default_rng(0), 200
    truth = np.clip(1.0 - (TAUS - 0.5) / 0.4, 0.0, 1.0)  # uniform between 0.5 and 0.9
    held = np.zeros(2)
    for _ in range(simulations):
        estimate = profile(generator.uniform(0.5, 0.9, (20, 1)))
        pairs = (estimate.low, estimate.high), (estimate.simultaneous_low, estimate.simultaneous_high)
        held += [((low <= truth) & (truth <= high)).all() for low, high in pairs]
    pointwise, simultaneous = held / simulations
    assert simultaneous > 0.88
    assert pointwise < 0.5
