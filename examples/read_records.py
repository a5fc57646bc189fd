"""Read the records of a suite and print a table of one's own: the worst test patients of each entry.

    python examples/read_records.py runs/demo

Records alone are read: neither data nor weights, and nothing is written.
"""

import sys

import pandas as pd

import harness

WORST = 3
"""Patients shown for each entry."""


def worst_patients(folder: str) -> pd.DataFrame:
    """The test patients with the lowest Dice.

    Args:
        folder: Records of one suite, RUNS/<suite name>.

    Returns:
        A row for each of the worst patients of an entry at a labelled count ("cell"), with Dice as a fraction: the mean
        over runs, cases and foreground classes.
    """
    leaderboard = harness.load_leaderboard(folder)
    cases = pd.concat(comparison.cases for comparison in leaderboard.inputs.comparisons)
    final_weights = cases[cases["checkpoint"] == "last"]
    dice = final_weights.groupby(["cell", "patient"], observed=True)[["dice"]].mean().reset_index()
    return dice.sort_values(["cell", "dice"]).groupby("cell").head(WORST)


if __name__ == "__main__":
    print(worst_patients(sys.argv[1]).to_string(index=False, float_format="%.3f"))
