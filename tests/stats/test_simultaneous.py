from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.bootstrap import intervals, simultaneous_intervals
from harness.stats.families import (
    NOT_SIGNIFICANT,
    SIGNIFICANT,
    UNDETERMINED,
    decidable,
    holm,
    rank_bounds,
    read_family,
    signed_rank,
)
from tests.stats.simulation import equal_dice_like, equal_normal, equal_uneven, error, told_apart

SAMPLE = np.array([[0.91, 0.30], [0.85, 0.42], [0.88, 0.11], [0.62, 0.35], [0.93, 0.59], [0.79, 0.23]])


def exhaustive_half_widths(values):
    n = len(values)
    resamples = values[np.array(list(product(range(n), repeat=n)))]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (resamples.mean(axis=1) - values.mean(axis=0)) / (resamples.std(axis=1, ddof=1) / np.sqrt(n))
    largest = np.sort(np.nan_to_num(np.abs(t), nan=0.0, posinf=np.inf).max(axis=1))
    return largest[int(0.95 * len(largest))] * values.std(axis=0, ddof=1) / np.sqrt(n)


def test_agrees_with_all_resamples_of_a_small_sample():
    bounds = simultaneous_intervals(SAMPLE)
    expected = exhaustive_half_widths(SAMPLE)
    assert bounds.mean == pytest.approx(SAMPLE.mean(axis=0))
    assert bounds.high - bounds.mean == pytest.approx(expected, rel=0.1)  # Monte Carlo error of a far quantile
    assert bounds.mean - bounds.low == pytest.approx(bounds.high - bounds.mean)
    assert simultaneous_intervals(-SAMPLE).low == pytest.approx(-bounds.high)
    many = np.random.default_rng(0).normal(size=(12, 20))
    assert simultaneous_intervals(many[:, ::-1]).low[::-1] == pytest.approx(simultaneous_intervals(many).low)
    ordered = np.sort(SAMPLE, axis=0)
    together, alone = simultaneous_intervals(ordered), intervals(ordered)
    assert (*together.single_low, *together.single_high) == pytest.approx((*alone.low, *alone.high))


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_too_few_patients_leave_all_undetermined(n):
    values = np.random.default_rng(2).normal(size=(n, 2))
    assert np.isnan(simultaneous_intervals(values).low).all()
    assert {reading.verdict for reading in read_family(values, np.full((n, 2), 0.5))} == {UNDETERMINED}


def sign_flips(values):
    """Exact two-sided p from all 2^n signs of the mean ranks of the non-zero values."""
    values = values[values != 0]
    size = np.abs(values)
    ranks = np.array([(size < one).sum() + ((size == one).sum() + 1) / 2 for one in size])
    sums = np.array([ranks[np.array(signs, dtype=bool)].sum() for signs in product((0, 1), repeat=len(values))])
    seen = ranks[values > 0].sum()
    return min(1.0, 2 * min((sums <= seen).mean(), (sums >= seen).mean()))


@pytest.mark.parametrize(
    "values",
    [[1, 2, 3], [1, 2, 3, 4, -5, 6, 7, 8], [1, 1, 2, -2, 3, 3, 4], [0, 0, 1, -2, 3, 4, 5], [0.5] * 6],
    ids=["distinct", "one against", "ties", "zeros", "all equal"],
)  # fmt: skip
def test_signed_rank_is_exact_for_small_samples(values):
    column = np.array(values, dtype=float)
    p, sign = signed_rank(np.stack([column, -column], axis=1))
    assert p == pytest.approx([sign_flips(column)] * 2)
    assert sign.tolist() == [1.0, -1.0]


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.2])) == pytest.approx([0.04, 0.09, 0.09, 0.2])
    assert holm(np.array([0.6, 0.9])).tolist() == [1.0, 1.0]


def test_clear_differences_are_significant_and_equal_methods_are_not():
    noise = np.random.default_rng(4).normal(0, 0.01, 20)
    clear, none = read_family(np.stack([0.1 + noise, noise - noise.mean()], axis=1), np.full((20, 2), 0.5))
    assert (clear.verdict, none.verdict) == (SIGNIFICANT, NOT_SIGNIFICANT)
    assert clear.n_patients == 20
    assert clear.difference == pytest.approx(0.1 + noise.mean())
    assert clear.p_holm == pytest.approx(2 * clear.p_wilcoxon)


def test_one_of_both_is_not_enough():
    """A few patients that are much worse: the test sees that most are better, the interval of the mean holds zero."""
    spoilt = np.where(np.arange(20) < 2, -0.45, 0.05) + np.random.default_rng(4).normal(0, 0.01, 20)
    (reading,) = read_family(spoilt[:, None], np.full((20, 1), 0.85))
    assert reading.p_holm <= 0.05
    assert reading.simultaneous_low < 0 < reading.simultaneous_high
    assert (reading.verdict, reading.significant) == (NOT_SIGNIFICANT, False)
    noise = np.random.default_rng(4).normal(0, 0.01, (20, 3))
    noise[:, 0] += np.where(np.arange(20) < 9, -0.1, 1.0)  # the mean is high, the ranks do not say so after Holm
    reading = read_family(noise, np.full((20, 3), 0.5))[0]
    assert reading.simultaneous_low > 0
    assert reading.p_wilcoxon < 0.05 < reading.p_holm
    assert (reading.verdict, reading.significant) == (NOT_SIGNIFICANT, False)


def test_what_no_outcome_could_show_is_undetermined():
    values = 1.0 + np.random.default_rng(5).normal(0, 0.01, (6, 3))
    assert decidable(6, 1)
    assert not decidable(6, 3)
    assert [one.verdict for one in read_family(values, values)] == [UNDETERMINED] * 3
    assert [one.verdict for one in read_family(values[:, :1], values[:, :1])] == [SIGNIFICANT]


SIMULATIONS, METHODS = 150, 5
MOST_TOLD_APART = 0.05 + 2 * error(0.05, SIMULATIONS)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [equal_normal, equal_dice_like, equal_uneven])
def test_equal_methods_rarely_differ_significantly(draw):
    assert told_apart(draw, METHODS, SIMULATIONS) <= MOST_TOLD_APART


def test_one_interval_per_pair_would_tell_equal_methods_apart():
    generator = np.random.default_rng(2)
    plain = 0
    for _ in range(SIMULATIONS):
        scores = equal_normal(generator, METHODS)
        single = intervals(np.stack([scores[:, a] - scores[:, b] for a, b in combinations(range(METHODS), 2)], axis=1))
        plain += bool(((single.low > 0) | (single.high < 0)).any())
    assert plain / SIMULATIONS > MOST_TOLD_APART


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.integers(1, 8), elements=st.integers(0, 9).map(float)), st.integers(0, 4))
def test_the_rank_by_the_means_lies_within_the_bounds(means, threshold):
    best, worst = rank_bounds(means[:, None] - means[None, :] > threshold)
    highest = 1 + (means[:, None] > means[None, :]).sum(axis=0)
    lowest = (means[:, None] >= means[None, :]).sum(axis=0)
    assert (best <= highest).all()
    assert (worst >= lowest).all()
    assert best.min() == 1
    assert worst.max() == len(means)
