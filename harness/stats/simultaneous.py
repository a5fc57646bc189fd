"""Simultaneous intervals of many mean differences: bootstrap max-t (Westfall and Young 1993; Romano and Wolf 2005).

Each resample of patients gives t* of every difference at once; the 95 % quantile c of the largest |t*| replaces the
quantile of a single interval, so that with 95 % probability *all* intervals mean +- c s / sqrt(n) hold their truth.
That the differences share patients and methods is in the resamples, which makes c smaller than Bonferroni's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.stats.bootstrap import COLUMNS_AT_ONCE, CONFIDENCE, RESAMPLES, Floats, t_ends, t_values


@dataclass(frozen=True, slots=True)
class Simultaneous:
    """Means of k differences with the bounds of each by itself and of all at once, each [k].

    A bound that the data do not determine (fewer than 4 patients, or heavy ties) is NaN.
    """

    mean: Floats
    single_low: Floats
    single_high: Floats
    low: Floats
    high: Floats


def simultaneous_intervals(differences: Floats, confidence: float = CONFIDENCE) -> Simultaneous:
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
        t_low, t_high, largest = _t_ends((differences - mean)[:, ~constant] / deviation, confidence)
        ends[:, ~constant] = np.stack([t_high, t_low]) * deviation / math.sqrt(n)
        half[~constant] = largest * deviation / math.sqrt(n)
    bounds = mean - ends[0], mean - ends[1], mean - half, mean + half
    return Simultaneous(mean, *(np.where(np.isfinite(bound), bound, np.nan) for bound in bounds))


def _t_ends(standardised: Floats, confidence: float) -> tuple[Floats, Floats, float]:
    """Of columns [n, k]: the quantiles of t* of each, and that of the largest |t*|."""
    k = standardised.shape[1]
    ends = np.empty((2, k))
    largest = np.zeros(RESAMPLES)
    for start in range(0, k, COLUMNS_AT_ONCE):
        chunk = slice(start, start + COLUMNS_AT_ONCE)
        t = t_values(standardised[:, chunk])
        ends[:, chunk] = t_ends(t, confidence)
        np.maximum(largest, np.abs(t, out=t).max(axis=0), out=largest)
    rank = math.ceil(confidence * (RESAMPLES + 1))
    return ends[0], ends[1], float(np.partition(largest, rank - 1)[rank - 1])
