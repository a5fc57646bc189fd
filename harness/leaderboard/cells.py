"""Cells of boards with their scores, so that those of several suites can stand side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.api.errors import DataError
from harness.leaderboard.conditions import Conditions
from harness.leaderboard.inputs import LeaderboardInput
from harness.leaderboard.scores import MEAN_CLASS
from harness.records.schema import Engine
from harness.stats.bootstrap import Floats


class Key(NamedTuple):
    """What two boards call alike: the rung (0 without a ladder), the cell (ua_mt@7)."""

    rung: int
    cell: str


@dataclass(frozen=True, eq=False)
class CellScores:
    """One cell of a board, by one metric of one checkpoint rule, mean over classes.

    runs:    (subset, seed) of each run that has numbers; ids: theirs.
    engine:  the settings of its suite, from which entries may differ as declared.
    planned: runs that the suite plans for it; spoilt: of them, those that failed or do not fit.
    values:  [patients, runs], patients in the order of their names.
    """

    key: Key
    conditions: Conditions
    engine: Engine
    reference: bool
    runs: tuple[tuple[int, int], ...]
    ids: tuple[str, ...]
    planned: int
    spoilt: int
    patients: tuple[str, ...]
    values: Floats

    @property
    def entry(self) -> str:
        return self.key.cell.rpartition("@")[0]

    @property
    def labelled(self) -> str:
        """Of patients: "7", or "all"."""
        return self.key.cell.rpartition("@")[2]

    def equals(self, other: CellScores) -> bool:
        return self.runs == other.runs and np.array_equal(self.values, other.values, equal_nan=True)


def cells_of(inputs: LeaderboardInput, metric: str, checkpoint: str) -> Iterator[CellScores]:
    """The cells of every table that have scores."""
    for comparison in inputs.comparisons:
        patients = comparison.tested["patient"].unique()
        order = np.argsort(patients, kind="stable")
        for (cell, reference), runs in comparison.runs.groupby(["cell", "reference"], sort=False):
            scores = comparison.scores.get((metric, checkpoint, cell, MEAN_CLASS))
            if scores is not None and comparison.conditions is not None and not np.isnan(scores.values).all():
                ok = runs[runs["status"] == "ok"].sort_values(["subset", "seed"])  # the order of the scores
                yield CellScores(
                    key=Key(comparison.rung, str(cell)),
                    conditions=comparison.conditions,
                    engine=inputs.engine,
                    reference=bool(reference),
                    runs=tuple(zip(ok["subset"].astype(int), ok["seed"].astype(int), strict=True)),
                    ids=tuple(ok["run"]),
                    planned=len(runs),
                    spoilt=int(runs["status"].isin(["failed", "unfit"]).sum()),
                    patients=tuple(patients[order]),
                    values=scores.values[order],
                )


def refuse_other_test(first: CellScores, second: CellScores, names: tuple[str, str]) -> None:
    """Raise `DataError` unless two cells were tested on the same patients of one dataset."""
    datasets = first.conditions.dataset, second.conditions.dataset
    if datasets[0] != datasets[1]:
        raise DataError(
            f"{names[0]} is of the dataset {datasets[0]} and {names[1]} of {datasets[1]}: only runs on one dataset can "
            "be compared"
        )
    if first.patients != second.patients:
        apart = sorted({*first.patients} ^ {*second.patients})
        raise DataError(
            f"{names[0]} and {names[1]} were tested on other patients ({len(apart)} are in one of them alone, such as "
            f"{apart[0]}): only equal test splits can be compared"
        )
