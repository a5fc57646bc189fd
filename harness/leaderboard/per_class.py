"""The leaderboard class by class, in long form."""

from __future__ import annotations

import pandas as pd

from harness.leaderboard.inputs import LeaderboardInput
from harness.leaderboard.scores import METRICS, UNKNOWN

COLUMNS = (
    "suite", "table", "labelled", "checkpoint", "block", "entry", "class_name", "metric", "mean", "low", "high", "std",
    "subsets_low", "subsets_high", "rank", "rank_worst", "n_patients", "n_structures", "n_missed", "n_spurious",
)  # fmt: skip


def build_per_class(inputs: LeaderboardInput) -> pd.DataFrame:
    """One row per comparison, labelled count, checkpoint rule, method, class and metric, with the primary interval.

    Dice and Jaccard as fractions, distances in what the metric's name ends with (voxel, mm). `std`, `subsets_low` and
    `subsets_high` as in `results.build_results`. The counts of missed and spurious structures are those of the class.
    A millimetre metric without spacing has no rows. Ranks are those by the class's Dice (`ranks.with_class_ranks`
    fills them), empty for other metrics.
    """
    rows = []
    for comparison in inputs.comparisons:
        for entry in comparison.all_entries:
            for key, counts in comparison.structures.items():
                if key[1] != entry.cell:
                    continue
                names = {"suite": inputs.suite, **entry.columns, "checkpoint": key[0], "class_name": key[2], **counts}
                summaries = {metric: comparison.summaries.get((metric, *key), UNKNOWN) for metric in METRICS}
                rows += [
                    {**names, "metric": metric, **summary._asdict()}
                    for metric, summary in summaries.items()
                    if summary.n_patients
                ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"labelled": "Int64", "rank": "Int64", "rank_worst": "Int64"})
