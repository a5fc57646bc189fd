"""Records as rows of the frames in `harness.leaderboard.inputs`: runs, validations, and trials of a search."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.api.strict import canonical_json
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import PlannedRun, Trial
from harness.records.suite_folder import SelectionEntry

RUN_COLUMNS = (
    "run", "cell", "entry", "labelled", "reference", "subset", "seed", "status", "method_version", "failure_kind",
    "failure_reason", "useful_device_seconds", "lost_device_seconds", "steps", "attempts", "images_seen",
    "labelled_images_seen", "parameters_training", "parameters_predictor", "peak_memory_bytes", "validations",
    "wall_seconds", "slurm_job",
)  # fmt: skip
"""
cell:         what is averaged into one row, see `cell`.
reference:    shown below the ranked rows, never ranked.
status:       ok, failed, missing (not run yet), elsewhere (ran under other conditions) or unfit (its records do not fit
              those of the others; failure_reason says why).
wall_seconds: by phase, a dict.
From method_version on, empty where there is no result.
"""

VALIDATION_COLUMNS = ("run", "validation", "progress", "step", "device_seconds", "dice", "unlabelled_dice")
"""Dice is the mean over foreground classes, a fraction; progress lies in [0, 1]."""

SEARCH_COLUMNS = (
    "suite", "entry", "study", "point", "run", "varied", "params", "status", "score", "useful_device_seconds",
    "lost_device_seconds", "chosen",
)  # fmt: skip


def cell(planned_run: PlannedRun) -> str:
    """What is averaged into one row: a method at a labelled count, "ua_mt@7"; "supervised_full@all" for a reference."""
    return f"{planned_run.entry}@{'all' if planned_run.labelled is None else planned_run.labelled}"


def run_row(entry: SelectionEntry, record: RunRecord, status: str) -> dict[str, Any]:
    """One row per selected run, with `RUN_COLUMNS`."""
    planned_run, result = entry.planned_run, record.result
    row = planned_run.model_dump() | {
        "run": record.id,
        "cell": cell(planned_run),
        "reference": planned_run.labelled is None or not entry.ranked,
        "status": status,
    }
    if result is None:
        return row
    own = result.model_dump(include=set(RUN_COLUMNS) - {*row, "validations"})
    return (
        row
        | own
        | result.spent.model_dump()
        | {
            "method_version": record.run.method_version,
            "failure_kind": None if result.failure is None else result.failure.kind,
            "failure_reason": None if result.failure is None else result.failure.reason,
            "steps": result.spent.useful_steps,
            "validations": len(result.validations),
            "slurm_job": result.shown.get("slurm_job"),
        }
    )


def validation_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Validations of a run, with `VALIDATION_COLUMNS`; no rows where the dataset has no validation cases."""
    return [
        dict(validation)
        | {"run": record.id, "dice": validation.mean_dice, "unlabelled_dice": validation.mean_unlabelled_dice}
        for validation in record.validations
        if validation.dice
    ]


def read_search(records: SuiteRecords) -> pd.DataFrame:
    """One row per trial of the current search, in the order in which they were named; none without a search.

    entry:  its name in the suite; point: 0 is the suite's own configuration (but in a grid).
    varied: JSON, the trial's value on each searched dimension; params: JSON, all hyper-parameters.
    status: ok, failed, ended_early (by the search), missing (not over yet) or unfit (its Dice lies outside [0, 1]).
    score:  validation Dice of the last validation, a fraction, mean over foreground classes.
    """
    trials = [] if records.trials is None else records.trials.trials
    chosen = _chosen(records)
    rows = [_trial_row(records, trial, chosen) for trial in trials]
    frame = pd.DataFrame(rows, columns=list(SEARCH_COLUMNS))
    return frame.astype({"study": "int64", "point": "int64", "chosen": "bool", "score": "float64"})


def _chosen(records: SuiteRecords) -> set[tuple[str, int, int]]:
    """(entry, study, point) of what the selection chose, if it belongs to this search."""
    selection, search = records.selection, records.trials
    if selection is None or search is None or selection.suite_hash != search.suite_hash:
        return set()
    chosen = (candidate.trial for candidate in selection.candidates or [] if candidate.chosen)
    return {(trial.entry, trial.study, trial.point) for trial in chosen}


def _trial_row(records: SuiteRecords, trial: Trial, chosen: set[tuple[str, int, int]]) -> dict[str, Any]:
    record = records.run(trial.run)
    result, spent = record.result, record.spent
    last = result.validations[-1] if result is not None and result.validations else None
    return trial.model_dump() | {
        "suite": records.name,
        "varied": canonical_json(trial.varied),
        "params": canonical_json(record.run.params),
        "status": "missing" if result is None else result.status if last is None or last.possible else "unfit",
        "score": None if last is None else last.mean_dice,
        "useful_device_seconds": spent.useful_device_seconds,
        "lost_device_seconds": spent.lost_device_seconds,
        "chosen": (trial.entry, trial.study, trial.point) in chosen,
    }
