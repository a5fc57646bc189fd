"""Comparison of all pairs of a family: simultaneous intervals, corrected tests, probabilities of improvement, ranks.

The tests are Wilcoxon's signed-rank test of paired differences with Holm's correction (Holm 1979).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.stats.bootstrap import CONFIDENCE, Floats, simultaneous_intervals
from harness.stats.rliable import improvement

LEVEL = 1.0 - CONFIDENCE

SIGNIFICANT, NOT_SIGNIFICANT, UNDETERMINED = "significant", "not significant", "undetermined"


class Reading(NamedTuple):
    """The difference of one pair, alone and within its family; see `paired.COLUMNS`."""

    difference: float
    difference_low: float
    difference_high: float
    simultaneous_low: float
    simultaneous_high: float
    p_wilcoxon: float
    p_holm: float
    probability_of_improvement: float
    improvement_low: float
    improvement_high: float
    n_patients: int
    significant: bool
    verdict: str


def read_family(differences: Floats, wins: Floats) -> list[Reading]:
    """Compare all pairs of one family.

    A difference is significant if its simultaneous interval excludes zero *and* the signed-rank test rejects after
    Holm, in the same direction. It is undetermined if n is so small that none could be significant.

    differences: a - b of each patient, [patients, pairs]. Patients with NaN in any pair are left out.
    wins: P(a better than b) on each patient, [patients, pairs].
    """
    complete = ~np.isnan(differences).any(axis=1)
    differences, wins = differences[complete], wins[complete]
    bounds = simultaneous_intervals(differences)
    p, sign = signed_rank(differences)
    adjusted = holm(p)
    side = np.where(bounds.low > 0.0, 1.0, np.where(bounds.high < 0.0, -1.0, 0.0))
    known = ~np.isnan(bounds.low) & decidable(*differences.shape)
    significant = known & (side != 0.0) & (side == sign) & (adjusted <= LEVEL)
    verdicts = np.where(known, np.where(significant, SIGNIFICANT, NOT_SIGNIFICANT), UNDETERMINED)
    columns = (
        bounds.mean, bounds.single_low, bounds.single_high, bounds.low, bounds.high, p, adjusted,
        *improvement(wins),
    )  # fmt: skip
    numbers = np.stack(columns, axis=1).tolist()
    readings = zip(numbers, significant.tolist(), verdicts.tolist(), strict=True)
    return [Reading._make((*row, len(differences), *reading)) for row, *reading in readings]


def decidable(patients: int, pairs: int) -> bool:
    """Whether the smallest p of the exact test, 2 / 2^n, can pass Holm's first step."""
    return pairs * 2.0 ** (1 - patients) <= LEVEL


def signed_rank(differences: Floats) -> tuple[Floats, Floats]:
    """Two-sided p and direction (+1 if the positive ranks weigh more, -1, 0) of each column [n, k], free of NaN.

    Tested against symmetry about 0. Zeros are dropped and ties get their mean rank. p is exact without ties and zeros
    for n <= 50, and with them for n <= 13 (all sign changes); otherwise it is the normal approximation with tie and
    continuity correction. A column of zeros alone has p = 1.
    """
    differences = np.asarray(differences, dtype=np.float64)
    p = np.full(differences.shape[1], np.nan)
    sign = np.zeros(differences.shape[1])
    if not len(differences):
        return p, sign
    plain = _without_ties(differences)
    if plain.any():
        p[plain] = stats.wilcoxon(differences[:, plain], axis=0, correction=True).pvalue
    for column in np.flatnonzero(~plain):
        values = differences[:, column]
        p[column] = stats.wilcoxon(values, correction=True).pvalue if values.any() else 1.0
    ranks = stats.rankdata(np.abs(differences), axis=0)
    sign = np.sign((np.sign(differences) * ranks).sum(axis=0))
    return p, sign


def _without_ties(differences: Floats) -> NDArray[np.bool_]:
    ordered = np.sort(np.abs(differences), axis=0)
    return np.asarray((np.diff(ordered, axis=0, prepend=0.0) > 0.0).all(axis=0))


def holm(p: Floats) -> Floats:
    """Adjusted p of one family [m]: the i-th smallest times m - i + 1, made monotone, at most 1."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(scaled)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def rank_bounds(better: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Best and worst rank that each method can have, each [methods]; shared where differences are not significant.

    A method's rank lies between 1 + (methods significantly better) and (methods) - (methods significantly worse). With
    simultaneous comparisons this holds for all methods at once in 95 % of experiments (Mogstad, Romano, Shaikh and
    Wilhelm 2024), also where separations are not transitive.

    better: [methods, methods], whether method i is significantly better than method j.
    """
    return 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
