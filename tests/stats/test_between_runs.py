import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from harness.stats.bootstrap import subset_interval
from tests.stats.simulation import error, subset_coverage


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_subsets_have_no_interval(count):
    assert all(math.isnan(bound) for bound in subset_interval(np.linspace(0.6, 0.7, count)))


def test_bounds_are_clipped_to_the_range_of_the_metric():
    """The same spread as of a Dice that swings between labelled subsets: unclipped it would reach from -0.4 to 1.4."""
    dice = np.array([0.1, 0.5, 0.9])
    assert subset_interval(dice)[0] < 0.0 < 1.0 < subset_interval(dice)[1]
    assert subset_interval(dice, 0.0, 1.0) == (0.0, 1.0)
    low, high = subset_interval(30.0 * dice, 0.0)
    assert low == 0.0
    assert high > 30.0


@given(arrays(np.float64, st.integers(3, 8), elements=st.integers(0, 1000).map(float), unique=True))
def test_agrees_with_scipy(means):
    expected = stats.t.interval(0.95, len(means) - 1, loc=means.mean(), scale=stats.sem(means))
    assert subset_interval(means) == pytest.approx(expected)


def test_it_covers_the_mean_over_subsets_where_the_primary_interval_does_not():
    simulations = 300
    over_subsets, primary = subset_coverage(subsets=3, seeds=2, simulations=simulations)
    assert abs(over_subsets - 0.95) <= 3.0 * error(0.95, simulations)
    assert primary < over_subsets - 0.1
