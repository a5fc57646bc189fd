import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.rliable import TAUS, profile


def test_profile_by_hand():
    estimate = profile(np.array([[0.5, 0.9], [0.5, 0.5], [1.0, 0.2]]))
    at = {round(float(tau), 2): float(share) for tau, share in zip(TAUS, estimate.share, strict=True)}
    assert (at[0.0], at[0.19], at[0.2], at[0.49], at[0.5], at[0.89], at[0.9], at[1.0]) == pytest.approx(
        (1, 1, 5 / 6, 5 / 6, 2 / 6, 2 / 6, 1 / 6, 0)
    )


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
