"""Paired differences between all methods of a table, over the same patients."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from harness.rank.bootstrap import Floats, paired_intervals
from harness.rank.frame import Comparison, Records
from harness.rank.leaderboard import leaderboard
from harness.rank.patients import METRICS, Estimate, Key, named, patient_means

CAVEAT = (
    "Intervals of differences are paired over patients and hold for one pair at a time, not for all pairs at once: "
    "among many pairs some exclude zero by chance."
)

COLUMNS = (
    "suite", "table", "labelled", "selection", "class_name", "metric", "family", "method_a", "method_b", "difference",
    "difference_low", "difference_high", "n_patients", "excludes_zero", "simultaneous_low", "simultaneous_high",
    "p_wilcoxon", "p_holm", "probability_of_improvement", "improvement_low", "improvement_high", "apart", "verdict",
)  # fmt: skip
"""
class_name:         MEAN_CLASS, the mean over classes, or one class (these rows for Dice alone).
family:             "ranked" for pairs of ranked methods, "reference" for pairs with a reference; corrected together.
difference:         mean over patients of a - b; `_low`, `_high` and excludes_zero hold for this pair alone.
simultaneous_low, _high: 95 % interval that holds for all pairs of the family at once (bootstrap max-t).
p_wilcoxon, p_holm: two-sided signed-rank p over patients, raw and after Holm within the family.
probability_of_improvement, improvement_low, _high: P(a better than b) on the same patient, ties count one half.
apart:              both the simultaneous interval and Holm tell a and b apart.
verdict:            "apart", "within noise", or "undetermined" where n cannot tell any two methods apart.
"""

MEAN_CLASS = "mean"


def paired(records: Records, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """Mean of a - b with its 95 % bootstrap-t interval, for every pair, metric, selection and labelled count.

    References come first, then by rank, so that a difference in Dice is mostly positive. Each patient's value is the
    mean over its classes, phases and the seeds and subsets that ran. A millimetre metric without spacing has no rows.
    rows: the leaderboard, if it is at hand.
    """
    rows = leaderboard(records) if rows is None else rows
    found = [
        {"suite": records.suite, "table": comparison.number, **row}
        for comparison in records.comparisons
        for row in _comparison(comparison, rows[rows["table"] == comparison.number])
    ]
    return pd.DataFrame(found, columns=list(COLUMNS)).astype(
        {"labelled": "Int64", "excludes_zero": "bool", "apart": "bool"}
    )


def _comparison(comparison: Comparison, rows: pd.DataFrame) -> list[dict[str, Any]]:
    means = patient_means(comparison.cases)
    pairs: dict[Key, tuple[Floats, Floats]] = {}
    for (labelled, selection), table in rows.groupby(["labelled", "selection"], sort=False, dropna=False):
        for first, second in combinations(_order(table), 2):
            for metric in METRICS:
                a, b = means.get((metric, selection, first)), means.get((metric, selection, second))
                if a is not None and b is not None and not np.isnan(a - b).all():
                    pairs[labelled, selection, metric, first, second] = a, b
    if not pairs:
        return []
    firsts, seconds = (np.stack([pair[side] for pair in pairs.values()], axis=1) for side in (0, 1))
    return [_row(key, estimate) for key, estimate in named(pairs, paired_intervals(firsts, seconds)).items()]


def _order(table: pd.DataFrame) -> list[str]:
    """Arms of a table that have numbers: references, then as ranked."""
    ok = table[table["n_ok"] > 0]
    ordered = pd.concat([ok[ok["block"] == "reference"], ok[ok["block"] == "ranked"]])
    return [f"{method}@{count}" for method, count in zip(ordered["method"], ordered["trained_on"], strict=True)]


def _row(key: Key, estimate: Estimate) -> dict[str, Any]:
    """One difference and how to read it; where a bound is undefined nothing is claimed."""
    labelled, selection, metric, first, second = key
    known = not (np.isnan(estimate.low) or np.isnan(estimate.high))
    excludes = known and (estimate.low > 0 or estimate.high < 0)
    return {
        "labelled": labelled,
        "selection": selection,
        "metric": metric,
        "method_a": first.rpartition("@")[0],
        "method_b": second.rpartition("@")[0],
        "difference": estimate.mean,
        "difference_low": estimate.low,
        "difference_high": estimate.high,
        "n_patients": estimate.n,
        "excludes_zero": excludes,
        "verdict": ("excludes zero" if excludes else "within noise") if known else "undetermined",
    }
