"""Wilcoxon's signed-rank test of paired differences, and Holm's correction (Holm 1979)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.stats.bootstrap import Floats


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Two-sided p and direction (+1 if the positive ranks weigh more, -1, 0) of k differences, each [k]."""

    p: Floats
    sign: Floats


def signed_rank(differences: Floats) -> SignedRank:
    """Test each column of `differences` [n, k] against symmetry about 0; NaN entries are left out of their column.

    Zeros are dropped and ties get their mean rank. p is exact without ties and zeros for n <= 50, and with them for
    n <= 13 (all sign changes); otherwise it is the normal approximation with tie and continuity correction. A column of
    zeros alone has p = 1.
    """
    differences = np.asarray(differences, dtype=np.float64)
    p = np.full(differences.shape[1], np.nan)
    sign = np.zeros(differences.shape[1])
    if not len(differences):
        return SignedRank(p, sign)
    plain = _without_ties(differences)
    if plain.any():
        p[plain] = stats.wilcoxon(differences[:, plain], axis=0, correction=True).pvalue
    for column in np.flatnonzero(~plain):
        values = differences[:, column]
        values = values[~np.isnan(values)]
        if len(values):
            p[column] = stats.wilcoxon(values, correction=True).pvalue if values.any() else 1.0
    ranks = stats.rankdata(np.abs(differences), axis=0, nan_policy="omit")
    sign = np.sign(np.nansum(np.sign(differences) * ranks, axis=0))
    return SignedRank(p, sign)


def _without_ties(differences: Floats) -> NDArray[np.bool_]:
    """Columns of distinct non-zero absolute values, free of NaN."""
    ordered = np.sort(np.abs(differences), axis=0)
    return np.asarray((np.diff(ordered, axis=0, prepend=0.0) > 0.0).all(axis=0))


def holm(p: Floats) -> Floats:
    """Adjusted p of one family [m]: the i-th smallest times m - i + 1, made monotone, at most 1."""
    order = np.argsort(p, kind="stable")
    scaled = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(scaled)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
