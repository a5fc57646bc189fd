"""One table of the cells that several contributors ran under the same conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.leaderboard.cells import CellScores, cells_of, refuse_other_test
from harness.leaderboard.conditions import Conditions, setting_titles
from harness.leaderboard.inputs import LeaderboardInput
from harness.stats.bootstrap import Floats, intervals
from harness.stats.families import rank_bounds, read_family
from harness.stats.rliable import wins

COLUMNS = (
    "dataset", "budget", "conditions", "labelled", "entry", "contributors", "n_ok", "n_runs", "n_spoilt", "dice",
    "dice_low", "dice_high", "n_patients", "rank", "rank_worst",
)  # fmt: skip
"""
conditions:      in which the tables of one dataset and budget differ.
contributors:    who ran it; several where the runs have the same ids and scores.
n_spoilt:        runs that failed or do not fit. A row with some ranks after all without.
rank, rank_worst: best and worst rank that differences allow which are significant among all pairs of the table.
"""


@dataclass(frozen=True, eq=False)
class _Row:
    cell: CellScores
    contributors: list[str]


def rank_together(boards: Mapping[str, LeaderboardInput]) -> pd.DataFrame:
    """Rank what several contributors ran, by the mean Dice of the last checkpoint: a row per cell, in `COLUMNS`.

    Cells share a table where all conditions of their runs and the engine settings of their suites are equal. References
    are left out. Raises `DataError` where two contributors tested on different patients under the same conditions.
    """
    tables: dict[tuple[Conditions, str, str], list[_Row]] = {}
    for name, inputs in boards.items():
        for cell in cells_of(inputs, "dice", "last"):
            if not cell.reference:
                rows = tables.setdefault((cell.conditions, cell.engine.model_dump_json(), cell.labelled), [])
                _join(rows, name, cell)
    ordered = sorted(tables, key=lambda key: (key[0].dataset, *key[:2], int(key[2])))
    texts = setting_titles([(tables[key][0].cell.conditions, tables[key][0].cell.engine) for key in ordered])
    parts = [_table(key[0], text, tables[key]) for key, text in zip(ordered, texts, strict=True)]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    return frame.astype({"rank": "Int64", "rank_worst": "Int64"})


def differing_twins(boards: Mapping[str, LeaderboardInput]) -> list[str]:
    """Runs of one id whose scores differ between contributors, a line each, as on other processors."""
    seen: dict[str, tuple[str, CellScores, int]] = {}
    lines = []
    for name, inputs in boards.items():
        for cell in cells_of(inputs, "dice", "last"):
            for place, run in enumerate(cell.ids):
                first, other, column = seen.setdefault(run, (name, cell, place))
                gap = np.abs(cell.values[:, place] - other.values[:, column]).max(initial=0.0)
                if gap > 0.0:
                    lines.append(
                        f"{cell.entry}, {cell.labelled} labelled, run {run[:10]}: {first} and {name} differ "
                        f"(up to {100.0 * gap:.2g} Dice points on a patient)"
                    )
    return lines


def _join(rows: list[_Row], name: str, cell: CellScores) -> None:
    for row in rows:
        refuse_other_test(row.cell, cell, (row.contributors[0], name))
        if row.cell.key.cell == cell.key.cell and row.cell.ids == cell.ids and row.cell.equals(cell):
            row.contributors.append(name)
            return
    rows.append(_Row(cell, [name]))


def _table(conditions: Conditions, title: str, rows: Sequence[_Row]) -> pd.DataFrame:
    cells = [row.cell for row in rows]
    by_patient = np.stack([cell.values.mean(axis=1) for cell in cells], axis=1)
    bounds = intervals(by_patient)
    best, worst = rank_bounds(_better(cells, by_patient))
    frame = pd.DataFrame({
        "dataset": conditions.dataset, "budget": conditions.budget, "conditions": title,
        "labelled": [int(cell.labelled) for cell in cells], "entry": [cell.entry for cell in cells],
        "contributors": [", ".join(row.contributors) for row in rows],
        "n_ok": [len(cell.runs) for cell in cells], "n_runs": [cell.planned for cell in cells],
        "n_spoilt": [cell.spoilt for cell in cells],
        "dice": bounds.mean, "dice_low": bounds.low, "dice_high": bounds.high, "n_patients": bounds.n,
        "rank": best, "rank_worst": worst,
    })  # fmt: skip
    spoilt = frame["n_spoilt"] > 0
    order = frame.assign(spoilt=spoilt).sort_values(["spoilt", "dice"], ascending=[True, False], kind="stable")
    return order[list(COLUMNS)]


def _better(cells: Sequence[CellScores], by_patient: Floats) -> NDArray[np.bool_]:
    """[i, j]: row i is without failures and row j is not, or both are alike and i is significantly better."""
    spoilt = np.array([cell.spoilt > 0 for cell in cells])
    better: NDArray[np.bool_] = ~spoilt[:, None] & spoilt
    pairs = list(combinations(range(len(cells)), 2))
    if pairs:
        shares = wins([cell.values for cell in cells])
        first, second = np.array(pairs).T
        readings = read_family(by_patient[:, first] - by_patient[:, second], shares[first, second].T)
        for (i, j), reading in zip(pairs, readings, strict=True):
            if reading.significant and spoilt[i] == spoilt[j]:
                better[(i, j) if reading.difference > 0 else (j, i)] = True
    return better
