"""python -m harness.leaderboard.coverage RUNS/<suite>: how often a suite's intervals hold the truth, table by table."""

import sys
from pathlib import Path

import numpy as np

from harness.leaderboard.inputs import LeaderboardInput, read_input
from harness.leaderboard.scores import MEAN_CLASS
from harness.records.reader import SuiteRecords
from harness.stats.coverage import Coverage, coverage_of

DRAWS = 400


def coverages(inputs: LeaderboardInput, draws: int = DRAWS) -> dict[tuple[int, int], Coverage]:
    """(table, labelled count) -> coverage for Dice of the last checkpoint of its ranked methods."""
    shares = {}
    for comparison in inputs.comparisons:
        for labelled in filter(None, comparison.labelled_counts):
            cells = comparison.ranked_cells(labelled)
            keys = [key for cell in cells if (key := ("dice", "last", cell, MEAN_CLASS)) in comparison.scores]
            if len(keys) > 1:
                scores = np.stack([comparison.scores[key].by_patient for key in keys], axis=1)
                whole = scores[~np.isnan(scores).any(axis=1)]
                shares[comparison.number, labelled] = coverage_of(whole, draws)
    return shares


if __name__ == "__main__":
    for (table, labelled), coverage in coverages(read_input(SuiteRecords.open(Path(sys.argv[1])))).items():
        sys.stdout.write(f"table {table}, {labelled} labelled: {coverage}\n")
