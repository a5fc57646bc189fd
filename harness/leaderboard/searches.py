"""The trials of a suite's search as a frame: score, cost and which were chosen."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.api.strict import canonical_json
from harness.records.reader import SuiteRecords
from harness.records.schema import Trial

COLUMNS = (
    "suite", "entry", "study", "point", "run", "varied", "params", "status", "score", "useful_device_seconds",
    "lost_device_seconds", "chosen",
)  # fmt: skip


def read_search(records: SuiteRecords) -> pd.DataFrame:
    """One row per trial of the current search, in the order in which they were named; none without a search.

    entry:  its name in the suite; point: 0 is the suite's own configuration (but in a grid).
    varied: JSON, the trial's value on each searched dimension; params: JSON, all hyper-parameters.
    status: ok, failed, ended_early (by the search) or missing (not over yet).
    score:  validation Dice of the last validation, a fraction, mean over foreground classes.
    """
    trials = [] if records.trials is None else records.trials.trials
    chosen = _chosen(records)
    rows = [_row(records, trial, chosen) for trial in trials]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"study": "int64", "point": "int64", "chosen": "bool", "score": "float64"})


def _chosen(records: SuiteRecords) -> set[tuple[str, int, int]]:
    """(entry, study, point) of what the selection chose, if it belongs to this search."""
    selection, search = records.selection, records.trials
    if selection is None or search is None or selection.suite_hash != search.suite_hash:
        return set()
    trials = (candidate.trial for candidate in selection.candidates or [] if candidate.chosen)
    return {(trial.entry, trial.study, trial.point) for trial in trials}


def _row(records: SuiteRecords, trial: Trial, chosen: set[tuple[str, int, int]]) -> dict[str, Any]:
    record = records.run(trial.run)
    result, spent = record.result, record.spent
    return trial.model_dump() | {
        "suite": records.name,
        "varied": canonical_json(trial.varied),
        "params": canonical_json(record.run.params),
        "status": "missing" if result is None else result.status,
        "score": None if result is None or not result.validations else result.validations[-1].mean_dice,
        "useful_device_seconds": spent.useful_device_seconds,
        "lost_device_seconds": spent.lost_device_seconds,
        "chosen": (trial.entry, trial.study, trial.point) in chosen,
    }
