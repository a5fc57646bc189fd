import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.rliable import improvement, wins

coarse = st.integers(0, 5).map(lambda i: i / 5)


def test_wins_by_hand():
    shares = wins(
        [np.array([[0.9, 0.7], [0.5, 0.5]]), np.array([[0.8], [0.5]]), np.array([[0.1, 0.8, 0.9], [0.4, 0.5, 0.6]])]
    )
    assert shares[0, 1] == pytest.approx([1 / 2, 1 / 2])
    assert shares[0, 2] == pytest.approx([(1 + 1 + 0.5 + 1) / 6, (1 + 0.5 + 0) / 3])
    assert shares[0, 0] == pytest.approx([0.5, 0.5])


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
    mean, low, high = improvement(np.array([[1.0, 0.5], [1.0, 0.0], [1.0, 1.0], [1.0, 0.5]]))
    assert mean.tolist() == [1.0, 0.5]
    assert (low[0], high[0]) == (1.0, 1.0)
    assert 0.0 <= low[1] < 0.5 < high[1] <= 1.0
    assert np.isnan(improvement(np.ones((2, 1)))[1]).all()


def test_the_interval_of_an_improvement_covers_its_truth():
    generator, simulations = np.random.default_rng(0), 400
    _, low, high = improvement(generator.beta(3.0, 2.0, (20, simulations)))
    coverage = np.mean((low <= 0.6) & (high >= 0.6))
    assert 0.89 <= coverage <= 0.97  # percentile intervals at n = 20 cover a little less than 95 %
