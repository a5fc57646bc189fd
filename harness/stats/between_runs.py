"""Spread of one method's results between seeds and labelled subsets.

The primary interval (`bootstrap`) resamples patients and holds for the seeds and subsets that ran. The standard
deviation over runs says how far a single run may lie from their mean. From three labelled subsets on, Student's
t-interval over the subset means speaks about other subsets too, on the same test patients. Two subsets would leave one
degree of freedom, with t = 12.7, so no interval is given.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from harness.stats.bootstrap import CONFIDENCE, Floats

LEAST_SUBSETS = 3


def standard_deviation(run_means: Floats) -> float:
    """Sample standard deviation (n - 1) of `run_means` [runs]; NaN for fewer than two runs."""
    return float(run_means.std(ddof=1)) if len(run_means) >= 2 else math.nan


def subset_interval(
    subset_means: Floats, lowest: float = -math.inf, highest: float = math.inf, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Student's t-interval of the mean over labelled subsets.

    Args:
        subset_means: One mean per labelled subset, over its seeds and patients, [subsets].
        lowest: Smallest value that the metric can take. Bounds are clipped to it.
        highest: Largest value that the metric can take.
        confidence: Share of experiments whose interval holds the mean over all subsets.

    Returns:
        The bounds; NaN for fewer than three subsets.
    """
    count = len(subset_means)
    if count < LEAST_SUBSETS:
        return math.nan, math.nan
    mean = float(subset_means.mean())
    half_width = stats.t.ppf(0.5 + confidence / 2.0, count - 1) * standard_deviation(subset_means) / math.sqrt(count)
    low, high = np.clip([mean - half_width, mean + half_width], lowest, highest)
    return float(low), float(high)
