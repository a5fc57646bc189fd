"""The smallest difference that a planned table can resolve, by the spread of finished runs or of shipped results.

python -m harness.leaderboard.resolution RUNS/<suite> prints the spread of a suite's records.
"""

import csv
import sys
from itertools import combinations
from pathlib import Path

import numpy as np

from harness.leaderboard.inputs import Comparison, LeaderboardInput, labelled_counts, read_input
from harness.leaderboard.scores import MEAN_CLASS, Scores
from harness.records.reader import SuiteRecords
from harness.stats.bootstrap import Floats
from harness.stats.power import Spread, spread_of

SHIPPED = Path(__file__).resolve().parents[2] / "benchmarks" / "published" / "spread.csv"


def measured_spreads(inputs: LeaderboardInput) -> dict[int, Spread]:
    """Labelled count -> the median spread of all pairs of ranked methods."""
    spreads = {
        count: spread_of([pair for comparison in inputs.comparisons for pair in _differences(comparison, count)])
        for count in labelled_counts(inputs.comparisons)
    }
    return {count: spread for count, spread in spreads.items() if spread is not None}


def typical_spread(dataset: str, labelled: int) -> tuple[Spread, str]:
    """The spread of shipped results, and where they lie: of the same dataset if any, at the nearest count."""
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    row = min(rows, key=lambda row: (row["dataset"] != dataset, abs(int(row["labelled"]) - labelled)))
    numbers = {name: int(row[name]) for name in ("runs", "pairs", "patients")}
    return Spread(float(row["between"]), float(row["within"]), **numbers), row["source"]


def _differences(comparison: Comparison, labelled: int) -> list[Floats]:
    """Dice of a - b, [patients, runs that both have], of each pair of ranked cells at a labelled count."""
    cells = comparison.ranked_cells(labelled)
    known = [(cell, scores) for cell in cells if (scores := comparison.scores.get(("dice", "last", cell, MEAN_CLASS)))]
    frames = {cell: _by_run(comparison, cell, scores) for cell, scores in known}
    shared = ((frames[a], frames[b], frames[a].keys() & frames[b].keys()) for a, b in combinations(frames, 2))
    columns = (np.stack([a[run] - b[run] for run in sorted(runs)], axis=1) for a, b, runs in shared if runs)
    return [values[~np.isnan(values).any(axis=1)] for values in columns]


def _by_run(comparison: Comparison, cell: str, scores: Scores) -> dict[tuple[int, int], Floats]:
    """(subset, seed) -> Dice of each patient; the columns of scores are in this order."""
    runs = comparison.runs_of(cell)
    ok = runs.loc[runs["status"] == "ok", ["subset", "seed"]].sort_values(["subset", "seed"])
    return dict(zip(ok.itertuples(index=False, name=None), scores.values.T, strict=True))


if __name__ == "__main__":
    for count, spread in measured_spreads(read_input(SuiteRecords.open(Path(sys.argv[1])))).items():
        sys.stdout.write(f"{count} labelled: {spread}\n")
