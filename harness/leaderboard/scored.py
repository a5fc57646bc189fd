"""Label maps from elsewhere, scored on the same test split: shown apart, without budget and rank."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd
import pyarrow as pa

from harness.leaderboard.grids import Column, Grid, Row, grid_of, metric_cell, title
from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.scores import MEAN_CLASS, count_structures, read_scores, summarise
from harness.records.cases import METRICS, Cases, case_row, case_rows
from harness.records.scored import Score, ScoredFolder, count_final_runs

_BOUNDS = ("", "_low", "_high", "_std")
COLUMNS = (
    "suite", "name", "note", "imported", "scored_at", "test_use", "test_uses", "final_runs", "times_scored",
    "n_patients", "n_structures", "n_missed", "n_spurious",
    *(f"{metric}{end}" for metric in METRICS for end in _BOUNDS),
)  # fmt: skip
"""
imported:     whether an export brought it; its test_use is then that of the RUNS where it was scored.
test_use:     the running number of this use of the test split among all on record in RUNS, final runs counted too.
test_uses:    all of them by now; final_runs: those that are final runs.
times_scored: how many scorings have this name; the row is of the last that has a result.
<metric>_std: empty, as of a single run.
Metrics and counts as in `results.build_results`.
"""

NOTE = (
    "Scored label maps: predicted elsewhere, without a budget that is known here, so they have no rank and no test. "
    "Each scoring opens the test split once more, and has a number among all openings on record."
)


def build_scored(inputs: LeaderboardInput) -> pd.DataFrame:
    """One row per name that was scored on the data of this suite, best first; columns as in `COLUMNS`.

    Label maps that were scored on other data, or for another surface Dice, are not shown.
    """
    data = _data(inputs.comparisons)
    if data is None:
        return pd.DataFrame(columns=list(COLUMNS))
    runs, dataset, checksum, tolerance = data
    folder, finals = ScoredFolder(runs, dataset), count_final_runs(runs, dataset)
    rows: list[Row] = []
    uses = 0
    for log in folder.logs():
        times = Counter(use.name for use in log.uses())
        uses += times.total()
        last = {
            score.use.name: (score, case_row(table, log.path / str(score.use.scoring) / "cases.parquet"))
            for score, table in log.scores()
            if (score.use.dataset.checksum, score.nsd_tolerance) == (checksum, tolerance)
        }
        imported = {"imported": log.path != folder.path}
        rows += [_row(score, row, times[name]) | imported for name, (score, row) in last.items()]
    shared = {"suite": inputs.suite, "test_uses": finals + uses, "final_runs": finals}
    frame = pd.DataFrame([row | shared for row in rows], columns=list(COLUMNS))
    return frame.sort_values(["dice", "name"], ascending=[False, True], ignore_index=True)


def _data(comparisons: Sequence[Comparison]) -> tuple[Path, str, str, tuple[float, float]] | None:
    """RUNS, dataset, checksum and tolerance of the first comparison; None while nothing has run."""
    for comparison in comparisons:
        if (shared := comparison.conditions) is not None:
            records = comparison.records
            tolerance = records.require_selection().engine.nsd_tolerance
            return records.root.resolve().parent, shared.dataset, shared.data_checksum, tolerance
    return None


def _row(score: Score, cases: dict[str, Any], times: int) -> Row:
    use = score.use
    table = case_rows([cases]).append_column("run", pa.array([use.name], pa.string()))
    (block,) = Cases(table).blocks([use.name])
    placed = pd.DataFrame({"cell": [use.name], "subset": [0], "seed": [0], "place": [0]})
    summaries = summarise(read_scores(block, placed))
    counts = count_structures(block, placed)
    row: Row = {"name": use.name, "note": use.note, "scored_at": use.at, "test_use": use.number, "times_scored": times}
    row |= {name: int(counts[name].sum()) for name in ("n_structures", "n_missed", "n_spurious")}
    (checkpoint,) = {key[1] for key in summaries}
    for metric in METRICS:
        summary = summaries[metric, checkpoint, use.name, MEAN_CLASS]
        row["n_patients"] = summary.n_patients
        row |= {f"{metric}{end}": getattr(summary, end[1:] or "mean") for end in _BOUNDS}
    return row


def scored_grid(scored: pd.DataFrame, metrics: Sequence[str], note: int = 300) -> Grid:
    """Name with its note, every metric that has values, missed structures, and the number of the use.

    note: characters of a note that are shown.
    """
    shown = [metric for metric in metrics if scored[metric].notna().any()]
    columns: dict[str, Column] = {
        "label maps": lambda row: (row["name"], shorten(row["note"], note, placeholder=" ...")),
        **{title(metric): partial(metric_cell, metric=metric) for metric in shown},
        "missed": lambda row: (str(row["n_missed"]), f"of {row['n_structures']:,}"),
        "test use": lambda row: (str(row["test_use"]), _times(row["times_scored"], imported=row["imported"])),
    }
    return grid_of(scored, columns)


def _times(count: int, *, imported: bool) -> str:
    return ", ".join(["imported"] * imported + [f"scored {count} times"] * (count > 1))


def scored_lines(scored: pd.DataFrame) -> tuple[str, str]:
    """What the rows are, and how often the test split was opened."""
    total, finals = (int(scored[name].iloc[0]) for name in ("test_uses", "final_runs"))
    counts = f"final runs {finals}, which open it once each; label maps {total - finals}"
    return NOTE, f"Uses of the test split on record here: {total} ({counts})."
