"""How far two orders of the same methods agree: Kendall's tau-b, and its interval over patients."""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from harness.stats.bootstrap import CONFIDENCE, RESAMPLES, Floats, outer, resample_counts


class Agreement(NamedTuple):
    """tau is 1 for equal orders and -1 for opposite ones; NaN where either has ties alone."""

    tau: float
    low: float
    high: float


def rank_agreement(given: Floats, by_patient: Floats) -> Agreement:
    """Tau-b of `given` [k], such as printed values, and the means over patients of `by_patient` [n, k], without NaN.

    Its 95 % percentile interval over resampled patients says how sure the measured order is, not the given one.
    """
    n = len(by_patient)
    measured = np.column_stack([by_patient.mean(axis=0), by_patient.T @ resample_counts(n) / n])
    tau = _tau_b(given, measured)
    low, high = outer(tau[None, 1:], int((RESAMPLES + 1) * (1.0 - CONFIDENCE) / 2.0))
    return Agreement(float(tau[0]), float(low[0]), float(high[0]))


def _tau_b(given: Floats, measured: Floats) -> Floats:
    """Of `given` [k] with each column of `measured` [k, B]."""
    first, second = (list(places) for places in zip(*combinations(range(len(given)), 2), strict=True))
    ours = np.sign(measured[first] - measured[second])
    theirs = np.sign(given[first] - given[second])[:, None]
    with np.errstate(invalid="ignore"):
        tau: Floats = (ours * theirs).sum(axis=0) / np.sqrt(np.abs(ours).sum(axis=0) * np.abs(theirs).sum())
    return tau
