"""The leaderboard class by class, in long form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.patients import MEAN_CLASS, METRICS, UNKNOWN, Estimate, Key, estimates
from harness.leaderboard.results import entries, labelled_counts
from harness.leaderboard.secondary import hierarchical_columns

COLUMNS = (
    "suite", "table", "labelled", "selection", "block", "method", "class_name", "metric", "mean", "low", "high",
    "hierarchical_low", "hierarchical_high", "hierarchical_coverage", "rank", "rank_worst", "n_patients",
    "n_structures", "n_missed", "n_spurious",
)  # fmt: skip


def build_per_class(inputs: LeaderboardInput) -> pd.DataFrame:
    """One row per comparison, labelled count, selection, method, class and metric, with the primary interval.

    Dice and Jaccard as fractions, distances in the unit that the metric's name ends with. The counts of missed and
    spurious structures are those of the class. A millimetre metric without spacing has no rows. Ranks
    (`ranks.with_class_ranks` fills them) and hierarchical intervals as in `leaderboard.leaderboard`, of the class's
    Dice; empty for other metrics.
    """
    rows = [row for comparison in inputs.comparisons for row in _comparison(comparison)]
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "suite"])
    frame.insert(0, "suite", inputs.suite)
    return frame.astype({"labelled": "Int64", "rank": "Int64", "rank_worst": "Int64"})


def _comparison(comparison: Comparison) -> list[dict[str, Any]]:
    found = estimates({key: one for key, one in comparison.patients.items() if key[3] != MEAN_CLASS})
    by_unit = {key[1:]: one for key, one in comparison.scores.items() if key[0] == "dice" and key[3] != MEAN_CLASS}
    second = hierarchical_columns(by_unit)
    structures = _structures(comparison.cases)
    rows: list[dict[str, Any]] = []
    for labelled in labelled_counts(comparison):
        for entry in entries(comparison, labelled):
            shared = {
                "table": comparison.number,
                "labelled": labelled,
                "block": "reference" if entry.reference else "ranked",
                "method": entry.method,
            }
            for key in (key for key in structures if key[1] == entry.arm):
                names = {**shared, "selection": key[0], "class_name": key[2]}
                rows.extend({**names, **row, **structures[key]} for row in _metrics(found, second[key], key))
    return rows


def _structures(cases: pd.DataFrame) -> dict[Key, dict[str, int]]:
    """(selection, arm, class) -> how many were tested, missed altogether, or found where there are none."""
    keys = ["selection", "arm", "class_name"]
    counts = cases.groupby(keys, sort=False, observed=True)[["missed", "spurious"]].agg(["size", "sum"])
    return {
        tuple(key): {"n_structures": int(size), "n_missed": int(missed), "n_spurious": int(spurious)}
        for key, size, missed, _, spurious in counts.itertuples(name=None)
    }


def _metrics(found: dict[Key, Estimate], second: dict[str, Any], key: Key) -> Iterator[dict[str, Any]]:
    for metric in METRICS:
        one = found.get((metric, *key), UNKNOWN)
        if one.n:
            numbers = {"mean": one.mean, "low": one.low, "high": one.high, "n_patients": one.n}
            yield {"metric": metric, **numbers, **(second if metric == "dice" else {})}
