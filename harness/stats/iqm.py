"""Interquartile mean: the mean of the middle half of all (patient, unit) scores (Agarwal et al. 2021, rliable).

Less moved by a few failed patients than the mean, less wasteful than the median. Of N scores, sorted, floor(N / 4) are
left out at each end. Its interval is the percentile bootstrap, stratified by unit: every resample holds as many scores
of each unit as the records do. rliable resamples each stratum by itself, since its runs share nothing; here all units
are tested on the same patients, so a drawn patient brings its scores under every unit. Independent draws would count
one patient as many and give intervals that are too narrow.
"""

from __future__ import annotations

import numpy as np

from harness.stats.bootstrap import CONFIDENCE, Floats, resample_counts

RESAMPLES = 2_000


def iqm(scores: Floats) -> float:
    """Interquartile mean of `scores` of any shape; NaN without any."""
    ordered = np.sort(scores, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean()) if len(ordered) else float("nan")


def iqm_interval(values: Floats) -> tuple[float, float, float]:
    """(iqm, low, high) of `values` [patients, units], free of NaN; NaN bounds with fewer than three patients."""
    if len(values) < 3:
        return iqm(values), float("nan"), float("nan")
    drawn = _drawn(values, resample_counts(len(values)).T[:RESAMPLES])
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100.0 - tail])
    return iqm(values), float(low), float(high)


def _drawn(values: Floats, counts: Floats) -> Floats:
    """Interquartile mean of each resample [B], which holds each patient's row as often as `counts` [B, patients] says.

    The sorted scores are summed up once per patient; a resample then only looks up where its quartiles lie.
    """
    order = np.argsort(values, axis=None, kind="stable")
    ordered = values.ravel()[order]
    own = np.zeros((values.size + 1, len(values)))
    own[np.arange(values.size) + 1, order // values.shape[1]] = 1.0
    sizes = np.cumsum(own, axis=0)
    own[1:] *= ordered[:, None]
    sums = np.cumsum(own, axis=0)

    def smallest(m: int) -> Floats:
        """Sum of the m smallest scores of each resample."""
        low, high = np.zeros(len(counts), dtype=np.intp), np.full(len(counts), values.size)
        while (low < high).any():
            middle = (low + high) // 2
            enough = np.einsum("bp,bp->b", counts, sizes[middle]) >= m
            low, high = np.where(enough, low, middle + 1), np.where(enough, middle, high)
        surplus = np.einsum("bp,bp->b", counts, sizes[low]) - m
        return np.asarray(np.einsum("bp,bp->b", counts, sums[low]) - surplus * ordered[low - 1])

    cut = values.size // 4
    return (smallest(values.size - cut) - smallest(cut)) / (values.size - 2 * cut)
