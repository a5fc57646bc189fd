"""What differs between two boards: each cell that both have, paired over patients."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.leaderboard.cells import CellScores, Key, cells_of, refuse_other_test
from harness.leaderboard.conditions import setting_titles
from harness.leaderboard.inputs import LeaderboardInput
from harness.records.cases import FRACTIONS
from harness.stats.bootstrap import Floats
from harness.stats.families import read_family
from harness.stats.rliable import wins

COLUMNS = (
    "rung", "labelled", "entry", "runs_a", "runs_b", "runs_paired", "a", "b", "difference", "difference_low",
    "difference_high", "simultaneous_low", "simultaneous_high", "p_wilcoxon", "p_holm", "probability_of_improvement",
    "improvement_low", "improvement_high", "n_patients", "significant", "verdict",
)  # fmt: skip
"""
runs_paired: runs of equal subset and seed, which alone are compared; 0 where there are none, and then all are.
a, b:        means over patients of those runs; difference: b - a.
All others as in `paired.COLUMNS`, for b against a; the family holds the cells that differ.
"""


@dataclass(frozen=True)
class BoardDifference:
    """What `compare_boards` found.

    differing:  a row per cell whose scores differ; columns as in `COLUMNS`.
    equal:      cells that have the same scores in all runs that both have.
    conditions: for each way in which conditions differ: those of A and those of B, in words.
    """

    differing: pd.DataFrame
    equal: tuple[Key, ...]
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]
    conditions: tuple[tuple[str, str], ...]


def compare_boards(
    a: LeaderboardInput, b: LeaderboardInput, names: tuple[str, str], metric: str = "dice", checkpoint: str = "last"
) -> BoardDifference:
    """Compare the cells that two boards have in common: same entry, labelled count and rung.

    names: what the two are called, for messages. metric: of `cases.METRICS`; mean over classes. Raises `DataError`
    where they are of different datasets, or were tested on different patients.
    """
    ours, theirs = (_first_by_key(cells_of(inputs, metric, checkpoint)) for inputs in (a, b))
    pairs = [(ours[key], theirs[key]) for key in ours if key in theirs]
    for first, second in pairs or zip(list(ours.values())[:1], list(theirs.values())[:1], strict=False):
        refuse_other_test(first, second, names)
    chosen = [(x, y, *_paired_values(x, y)) for x, y in pairs]
    apart = [each for each in chosen if not _equal(*each)]
    texts = dict.fromkeys(tuple(setting_titles([(each.conditions, each.engine) for each in pair])) for pair in pairs)
    return BoardDifference(
        differing=_rows(apart, 1.0 if metric in FRACTIONS else -1.0),
        equal=tuple(each[0].key for each in chosen if _equal(*each)),
        only_a=tuple(key for key in ours if key not in theirs),
        only_b=tuple(key for key in theirs if key not in ours),
        conditions=tuple((first, second) for first, second in texts if first or second),
    )


def _first_by_key(cells: Iterable[CellScores]) -> dict[Key, CellScores]:
    """Where a suite ran under several conditions, a cell is that of its first table."""
    by_key: dict[Key, CellScores] = {}
    for cell in cells:
        by_key.setdefault(cell.key, cell)
    return by_key


def _rows(chosen: list[tuple[CellScores, CellScores, Floats, Floats]], sign: float) -> pd.DataFrame:
    """sign: -1 for a metric of which less is better."""
    if not chosen:
        return pd.DataFrame(columns=list(COLUMNS))
    means = [(first.mean(axis=1), second.mean(axis=1)) for _, _, first, second in chosen]
    better = [wins([sign * second, sign * first])[0, 1] for _, _, first, second in chosen]
    differences = np.stack([second - first for first, second in means], axis=1)
    readings = read_family(differences, np.stack(better, axis=1))
    rows = []
    for (x, y, *_), (first, second), reading in zip(chosen, means, readings, strict=True):
        common = len({*x.runs} & {*y.runs})
        head = (x.key.rung, x.labelled, x.entry, len(x.runs), len(y.runs), common)
        sides = {"a": float(np.nanmean(first)), "b": float(np.nanmean(second))}
        rows.append(dict(zip(COLUMNS[:6], head, strict=True)) | sides | reading._asdict())
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _equal(x: CellScores, y: CellScores, first: Floats, second: Floats) -> bool:
    return bool({*x.runs} & {*y.runs}) and np.array_equal(first, second, equal_nan=True)


def _paired_values(first: CellScores, second: CellScores) -> tuple[Floats, Floats]:
    """Scores [patients, runs] of the runs of equal subset and seed; of all where there are none."""
    common = {*first.runs} & {*second.runs}
    keep = [[not common or run in common for run in cell.runs] for cell in (first, second)]
    return first.values[:, keep[0]], second.values[:, keep[1]]
