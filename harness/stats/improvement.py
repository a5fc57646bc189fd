"""Probability of improvement: how often a method beats another on the same patient (Agarwal et al. 2021, rliable).

For each patient the share of run pairs (x, y) with x better, ties counting one half (Mann and Whitney's statistic);
the mean over patients is P(X > Y), stratified by patient. Its interval is the percentile bootstrap over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.stats.bootstrap import CONFIDENCE, Floats, outer, resample_counts

RESAMPLES = 2_000
_COLUMNS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Improvement:
    """Probability and bounds of k pairs, each [k]; NaN bounds with fewer than three patients."""

    probability: Floats
    low: Floats
    high: Floats


def wins(scores: Sequence[Floats]) -> Floats:
    """P(i better than j) on each patient.

    Every score is replaced by its rank among all scores of the patient, so that pairs of runs need not be enumerated.

    Args:
        scores: Scores of each method, [patients, runs of the method]. Larger is better.

    Returns:
        [methods, methods, patients]; NaN for a patient without a score under some run.
    """
    joined = np.concatenate(scores, axis=1)
    ranks = stats.rankdata(np.nan_to_num(joined), method="dense", axis=1).astype(np.intp)
    sizes = np.array([values.shape[1] for values in scores])
    starts = np.cumsum(sizes) - sizes
    shares = np.empty((len(scores), len(scores), len(joined)))
    for j, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        share = np.zeros((len(joined), ranks.max(initial=0) + 1))
        np.add.at(share, (np.arange(len(joined))[:, None], ranks[:, start : start + size]), 1.0 / size)
        below = np.cumsum(share, axis=1) - share / 2.0
        shares[:, j] = (np.add.reduceat(np.take_along_axis(below, ranks, axis=1), starts, axis=1) / sizes).T
    shares[:, :, np.isnan(joined).any(axis=1)] = np.nan
    return shares


def improvement(by_patient: Floats) -> Improvement:
    """Mean of each column of `by_patient` [patients, k], rows of `wins`, with its interval; rows with NaN left out."""
    by_patient = by_patient[~np.isnan(by_patient).any(axis=1)]
    n, k = by_patient.shape
    low, high = np.full(k, np.nan), np.full(k, np.nan)
    if n >= 3:
        counts = resample_counts(n)[:, :RESAMPLES] / n
        rank = int((RESAMPLES + 1) * (1.0 - CONFIDENCE) / 2.0)
        for start in range(0, k, _COLUMNS_AT_ONCE):
            chunk = slice(start, start + _COLUMNS_AT_ONCE)
            low[chunk], high[chunk] = outer(by_patient[:, chunk].T @ counts, rank)
    mean = by_patient.mean(axis=0) if n else np.full(k, np.nan)
    return Improvement(mean, np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0))
