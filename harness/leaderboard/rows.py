"""One run's records as rows of the frames in `harness.leaderboard.inputs`."""

from __future__ import annotations

from typing import Any

from harness.records.reader import RunRecord
from harness.records.schema import PlannedRun
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
status:       ok, failed, missing (not run yet) or elsewhere (ran under other conditions).
wall_seconds: by phase, a dict.
From method_version on, empty where there is no result.
"""

VALIDATION_COLUMNS = ("run", "validation", "progress", "step", "device_seconds", "dice", "unlabelled_dice")
"""Dice is the mean over foreground classes, a fraction; progress lies in [0, 1]."""


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
