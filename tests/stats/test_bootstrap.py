from itertools import product

import numpy as np
import pytest

from harness.stats.bootstrap import intervals

SAMPLE = np.array([0.91, 0.85, 0.88, 0.62, 0.93, 0.79])


def interval(values):
    return tuple(float(ends[0]) for ends in intervals(values[:, None])[:3])


def exhaustive(values):
    n = len(values)
    resamples = values[np.array(list(product(range(n), repeat=n)))]
    deviation = resamples.std(axis=1, ddof=1)
    shift = resamples.mean(axis=1) - values.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.sort(shift / (deviation / np.sqrt(n)))
    t_low, t_high = t[int(0.025 * len(t))], t[int(0.975 * len(t))]
    error = values.std(ddof=1) / np.sqrt(n)
    return values.mean(), values.mean() - t_high * error, values.mean() - t_low * error


def test_agrees_with_all_resamples_of_a_small_sample():
    exact, estimate = exhaustive(SAMPLE), interval(SAMPLE)
    error = SAMPLE.std(ddof=1) / np.sqrt(len(SAMPLE))
    assert estimate[0] == pytest.approx(exact[0])
    assert estimate[1] == pytest.approx(exact[1], abs=0.25 * error)  # Monte Carlo error of a far quantile
    assert estimate[2] == pytest.approx(exact[2], abs=0.25 * error)
    assert estimate[2] - estimate[0] != pytest.approx(estimate[0] - estimate[1], rel=0.1), (
        "studentised intervals are not symmetric"
    )


@pytest.mark.parametrize(
    ("values", "mean"),
    [([], np.nan), ([0.5], 0.5), ([0.5, 0.7], 0.6), ([0.1, 0.2, 0.6], 0.3), ([0.0] * 4 + [1.0], 0.2)],
)
def test_undetermined_bounds_are_nan(values, mean):
    estimate = interval(np.array(values))
    assert estimate[0] == pytest.approx(mean, nan_ok=True)
    assert np.isnan(estimate[1]) or np.isnan(estimate[2])
    if len(values) < 4:
        assert np.isnan(estimate[1:]).all()


def test_equal_values_give_the_point():
    assert interval(np.full(20, 0.1)) == (0.1, 0.1, 0.1)


def test_nan_is_left_out_of_its_column_alone():
    values = np.stack([SAMPLE, SAMPLE], axis=1)
    values[3, 1] = np.nan
    estimate = intervals(values)
    assert estimate.n.tolist() == [6, 5]
    assert estimate.mean[0] == pytest.approx(SAMPLE.mean())
    assert (estimate.mean[1], estimate.low[1], estimate.high[1]) == interval(np.delete(SAMPLE, 3))


def test_columns_do_not_depend_on_each_other():
    values = np.random.default_rng(0).normal(size=(20, 150))
    together = intervals(values)
    for column in (0, 63, 64, 149):
        assert (together.mean[column], together.low[column], together.high[column]) == pytest.approx(
            interval(values[:, column]), rel=1e-12
        )


def percentile_coverage(values, truth):
    counts = np.random.default_rng(5).multinomial(len(values), [1 / len(values)] * len(values), size=2000)
    low, high = np.quantile(counts @ values / len(values), [0.025, 0.975], axis=0)
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda g, size: g.normal(0.8, 0.1, size), 0.8),
        (lambda g, size: g.beta(8, 2, size), 0.8),
        (lambda g, size: g.beta(5, 0.6, size), 5 / 5.6),
    ],
    ids=["normal", "like Dice", "like Dice, strongly skewed"],
)
def test_covers_the_truth_with_20_patients(draw, truth):
    simulations = 300
    values = draw(np.random.default_rng(1), (20, simulations))
    estimate = intervals(values)
    coverage = np.mean((estimate.low <= truth) & (truth <= estimate.high))
    monte_carlo_error = np.sqrt(0.95 * 0.05 / simulations)
    assert abs(coverage - 0.95) <= 0.02 + monte_carlo_error
    assert coverage > percentile_coverage(values, truth), "the reason why it is not the percentile interval"
