"""What a suite's search tried, what it cost and what was chosen, as a frame."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.api.strict import canonical_json
from harness.records.schema import Trial
from harness.records.selection import Points, Selection
from harness.records.suite_folder import RunStore

COLUMNS = (
    "suite", "method", "study", "point", "unit", "varied", "params", "status", "score", "useful_device_seconds",
    "lost_device_seconds", "chosen",
)  # fmt: skip


def searches(store: RunStore) -> pd.DataFrame:
    """One row per trial of the current search, in the order in which they were named; none without a search.

    method: the row's name in the suite; point: 0 is the suite's own configuration (but in a grid).
    varied: JSON, where the trial stands on each searched dimension; params: JSON, all hyper-parameters.
    status: ok, failed, stopped (ended early by the search) or missing (not over yet).
    score:  validation Dice of the last look, a fraction, mean over foreground classes.
    """
    points = store.points()
    selection = store.selection() if store.selection_path.exists() else None
    rows = [] if points is None else [_row(store, trial, _chosen(points, selection)) for trial in points.trials]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"study": "int64", "point": "int64", "chosen": "bool", "score": "float64"})


def _chosen(points: Points, selection: Selection | None) -> set[tuple[str, int, int]]:
    """(row, study, point) of what the selection chose, if it belongs to this search."""
    if selection is None or selection.suite_hash != points.suite_hash:
        return set()
    found = (one.trial for one in selection.candidates or [] if one.chosen)
    return {(trial.method, trial.study, trial.point) for trial in found}


def _row(store: RunStore, trial: Trial, chosen: set[tuple[str, int, int]]) -> dict[str, Any]:
    folder = store.by_id(trial.unit)
    result = folder.result()
    spent = folder.ledger.spent() if result is None else result.spent
    looks = [] if result is None else result.looks
    return {
        "suite": store.root.name,
        "method": trial.method,
        "study": trial.study,
        "point": trial.point,
        "unit": trial.unit,
        "varied": canonical_json(trial.varied),
        "params": canonical_json(folder.unit.params),
        "status": "missing" if result is None else result.status,
        "score": looks[-1].mean_dice if looks else None,
        "useful_device_seconds": spent.useful_device_seconds,
        "lost_device_seconds": spent.lost_device_seconds,
        "chosen": (trial.method, trial.study, trial.point) in chosen,
    }
