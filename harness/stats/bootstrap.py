"""Intervals of a mean over patients, of many differences at once, and over labelled subsets.

The primary one is bootstrap-t, studentised (Efron and Tibshirani 1993, chapter 12). With mean m and standard deviation
s of n values, each resample of patients gives t* = (m* - m) / (s* / sqrt(n)); the interval is [m - t*(97.5 %) s /
sqrt(n), m - t*(2.5 %) s / sqrt(n)]. Bounds are never clipped to the range of a metric.

Simultaneous intervals are bootstrap max-t (Westfall and Young 1993; Romano and Wolf 2005). Each resample gives t* of
every difference at once; the 95 % quantile c of the largest |t*| replaces the quantile of a single interval: with 95 %
probability *all* intervals mean +- c s / sqrt(n) hold their truth.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 10_000
SEED = 20_261_102
"""Fixed, so that the same records always give the same table."""

CONFIDENCE = 0.95
LEAST_SUBSETS = 3
"""With two, one degree of freedom would be left, and t = 12.7."""

COLUMNS_AT_ONCE = 8
"""So few that their resamples stay in the processor's cache."""

_ZERO = 1e-12

Floats = NDArray[np.float64]


class Intervals(NamedTuple):
    """Mean and interval of k columns, each [k]; n counts the values that were not NaN."""

    mean: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]


def intervals(values: Floats) -> Intervals:
    """Bootstrap-t interval of the mean of each column of `values` [n, k]; NaN entries are left out of their column.

    Invariant under the order of the rows, equivariant under shift and positive scale. Degenerate columns: without
    values all is NaN; with n < 3, NaN bounds; all values equal, n >= 3: the point. A bound that the data do not
    determine (over 2.5 % of the resamples hold one distinct value only: always at n = 3, or with heavy ties) is NaN.
    """
    ordered = np.sort(values, axis=0)
    n = np.count_nonzero(~np.isnan(values), axis=0).astype(np.int64)
    mean, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
    for size in np.unique(n[n > 0]):
        columns = np.flatnonzero(n == size)
        for start in range(0, len(columns), COLUMNS_AT_ONCE):
            chunk = columns[start : start + COLUMNS_AT_ONCE]
            mean[chunk], low[chunk], high[chunk] = _chunk(ordered[:size, chunk])
    return Intervals(mean, low, high, n)


def _chunk(ordered: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean and bounds of columns [n, k] sorted upwards and free of NaN."""
    n = len(ordered)
    mean = ordered.mean(axis=0)
    constant = ordered[0] == ordered[-1]
    mean = np.where(constant, ordered[0], mean)
    if n < 3:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    deviation = np.where(constant, 1.0, ordered.std(axis=0, ddof=1))
    t_low, t_high = t_ends(t_values((ordered - mean) / deviation))
    scale = deviation / np.sqrt(n)
    low = np.where(constant, mean, mean - t_high * scale)
    high = np.where(constant, mean, mean - t_low * scale)
    return mean, np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def t_ends(t: Floats) -> tuple[Floats, Floats]:
    """The two outer quantiles of t* [k, RESAMPLES] of each column, each [k]; infinite without spread."""
    return outer(t, int((RESAMPLES + 1) * (1.0 - CONFIDENCE) / 2.0))


def outer(drawn: Floats, rank: int) -> tuple[Floats, Floats]:
    """The `rank`-th smallest and largest value of each row [k, B]; rank counts from 1, 2 rank <= B."""
    ordered = np.partition(drawn, rank - 1, axis=1)
    # one end after the other: numpy takes five times as long for both at once
    rest = np.partition(ordered[:, rank:], -rank, axis=1)
    return ordered[:, rank - 1], rest[:, -rank]


def t_values(standardised: Floats) -> Floats:
    """t* of every resample [k, RESAMPLES], from columns [n, k] of mean 0 and standard deviation 1.

    Infinite where a resample has no spread. All columns see the same resamples.
    """
    n = len(standardised)
    counts = resample_counts(n)
    sums = standardised.T @ counts
    spread = np.square(standardised).T @ counts
    spread -= np.square(sums) / n
    spread *= n / (n - 1)
    flat = spread < _ZERO
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.divide(sums, np.sqrt(spread, out=spread), out=spread)
    t[flat] = np.where(np.abs(sums[flat]) < _ZERO, 0.0, np.copysign(np.inf, sums[flat]))
    return t


@lru_cache(maxsize=8)
def resample_counts(n: int) -> Floats:
    """How often each of n values occurs in each resample, [n, RESAMPLES]; the same for every column."""
    generator = np.random.default_rng(SEED)
    return np.ascontiguousarray(generator.multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES).T.astype(np.float64))


class Simultaneous(NamedTuple):
    """Means of k differences with the bounds of each by itself and of all at once, each [k].

    A bound that the data do not determine (fewer than 4 patients, or heavy ties) is NaN.
    """

    mean: Floats
    single_low: Floats
    single_high: Floats
    low: Floats
    high: Floats


def simultaneous_intervals(differences: Floats) -> Simultaneous:
    """Bounds of the mean of each column of `differences` [n, k], free of NaN; single ones as `bootstrap.intervals`.

    A column of equal values has no spread to resample. Its interval is the point, and it widens no other.
    """
    n, k = differences.shape
    if not n or not k:
        return Simultaneous(*np.full((5, k), np.nan))
    constant = np.ptp(differences, axis=0) == 0.0
    mean = np.where(constant, differences[0], differences.mean(axis=0))
    ends, half = np.zeros((2, k)), np.zeros(k)
    if n < 3:
        ends[:], half[:] = np.nan, np.nan
    elif not constant.all():
        deviation = differences[:, ~constant].std(axis=0, ddof=1)
        t_low, t_high, largest = _t_ends((differences - mean)[:, ~constant] / deviation)
        ends[:, ~constant] = np.stack([t_high, t_low]) * deviation / math.sqrt(n)
        half[~constant] = largest * deviation / math.sqrt(n)
    bounds = mean - ends[0], mean - ends[1], mean - half, mean + half
    return Simultaneous(mean, *(np.where(np.isfinite(bound), bound, np.nan) for bound in bounds))


def _t_ends(standardised: Floats) -> tuple[Floats, Floats, float]:
    """Of columns [n, k]: the quantiles of t* of each, and that of the largest |t*|."""
    k = standardised.shape[1]
    ends = np.empty((2, k))
    largest = np.zeros(RESAMPLES)
    for start in range(0, k, COLUMNS_AT_ONCE):
        chunk = slice(start, start + COLUMNS_AT_ONCE)
        t = t_values(standardised[:, chunk])
        ends[:, chunk] = t_ends(t)
        np.maximum(largest, np.abs(t, out=t).max(axis=0), out=largest)
    rank = math.ceil(CONFIDENCE * (RESAMPLES + 1))
    return ends[0], ends[1], float(np.partition(largest, rank - 1)[rank - 1])


def standard_deviation(run_means: Floats) -> float:
    """Sample standard deviation (n - 1) of `run_means` [runs]; NaN for fewer than two runs."""
    return float(run_means.std(ddof=1)) if len(run_means) >= 2 else math.nan


def subset_interval(subset_means: Floats, lowest: float = -math.inf, highest: float = math.inf) -> tuple[float, float]:
    """Student's t-interval of the mean over labelled subsets, clipped to what the metric can be.

    subset_means: one for each subset, over its seeds and patients. NaN bounds for fewer than three.
    """
    count = len(subset_means)
    if count < LEAST_SUBSETS:
        return math.nan, math.nan
    mean = float(subset_means.mean())
    half_width = stats.t.ppf(0.5 + CONFIDENCE / 2.0, count - 1) * standard_deviation(subset_means) / math.sqrt(count)
    low, high = np.clip([mean - half_width, mean + half_width], lowest, highest)
    return float(low), float(high)
