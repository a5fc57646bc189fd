"""The leaderboard class by class, in long form."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.rank.frame import Comparison, Records
from harness.rank.leaderboard import entries, labelled_counts
from harness.rank.patients import METRICS, UNKNOWN, Estimate, Key, estimates, patient_means

COLUMNS = (
    "suite", "table", "labelled", "selection", "block", "method", "class_name", "metric", "mean", "low", "high",
    "hierarchical_low", "hierarchical_high", "hierarchical_coverage", "rank", "rank_worst", "n_patients",
    "n_structures", "n_missed", "n_spurious",
)  # fmt: skip


def per_class(records: Records) -> pd.DataFrame:
    """One row per comparison, labelled count, selection, method, class and metric, with the primary interval.

    Dice and Jaccard as fractions, distances in the unit that the metric's name ends with. The counts of missed and
    spurious structures are those of the class. A millimetre metric without spacing has no rows. Ranks and hierarchical
    intervals as in `leaderboard.leaderboard`, of the class's Dice; empty for other metrics.
    """
    rows = [row for comparison in records.comparisons for row in _comparison(comparison)]
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "suite"])
    frame.insert(0, "suite", records.suite)
    return frame.astype({"labelled": "Int64", "rank": "Int64", "rank_worst": "Int64"})


def _comparison(comparison: Comparison) -> list[dict[str, Any]]:
    cases = comparison.cases
    found = estimates(patient_means(cases, by=["class_name"]))
    counts = cases.groupby(["selection", "arm", "class_name"], sort=False)[["missed", "spurious"]].agg(["size", "sum"])
    rows: list[dict[str, Any]] = []
    for labelled in labelled_counts(comparison):
        for entry in entries(comparison, labelled):
            shared = {
                "table": comparison.number,
                "labelled": labelled,
                "block": "reference" if entry.reference else "ranked",
                "method": entry.method,
            }
            rows.extend({**shared, **row} for row in _entry(found, counts, entry.arm))
    return rows


def _entry(found: dict[Key, Estimate], counts: pd.DataFrame, arm: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key in counts.index:
        if key[1] != arm:
            continue
        count = counts.loc[key]
        structures = {
            "n_structures": int(count["missed", "size"]),
            "n_missed": int(count["missed", "sum"]),
            "n_spurious": int(count["spurious", "sum"]),
        }
        for metric in METRICS:
            one = found.get((metric, key[0], arm, key[2]), UNKNOWN)
            if one.n:
                names = {"selection": key[0], "class_name": key[2], "metric": metric}
                numbers = {"mean": one.mean, "low": one.low, "high": one.high, "n_patients": one.n}
                rows.append({**names, **numbers, **structures})
    return rows
