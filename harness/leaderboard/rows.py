"""One run's records as rows of the frames in `harness.leaderboard.inputs`."""

from __future__ import annotations

from typing import Any

from harness.api.strict import canonical_json
from harness.records.reader import RunRecord
from harness.records.schema import Engine, Slot
from harness.records.selection import SelectionEntry

LOOK_COLUMNS = ("unit", "look", "progress", "step", "device_seconds", "dice", "unlabelled_dice")


def arm(slot: Slot) -> str:
    """What is averaged into one row: a method at a labelled count, "ua_mt@7"; "supervised_full@all" for a reference."""
    return f"{slot.method}@{'all' if slot.labelled is None else slot.labelled}"


def unit_row(entry: SelectionEntry, record: RunRecord, status: str) -> dict[str, Any]:
    """One row per selected run; figures are None where it has no result. `reference`: shown apart, never ranked."""
    slot = entry.slot
    run = None if record.result is None else record.run
    return {
        "unit": record.id,
        "arm": arm(slot),
        "method": slot.method,
        "labelled": slot.labelled,
        "reference": slot.labelled is None or not entry.ranked,
        "subset": slot.subset,
        "seed": slot.seed,
        "status": status,
        "method_version": None if run is None else run.method_version,
        "engine": None if run is None else canonical_json(flatten(run.engine)),
        **_figures(record),
    }


def _figures(record: RunRecord) -> dict[str, Any]:
    result = record.result
    failure = None if result is None else result.failure
    return {
        "failure_kind": None if failure is None else failure.kind,
        "failure_reason": None if failure is None else failure.reason,
        "useful_device_seconds": None if result is None else result.spent.useful_device_seconds,
        "lost_device_seconds": None if result is None else result.spent.lost_device_seconds,
        "steps": None if result is None else result.spent.useful_steps,
        "attempts": None if result is None else result.spent.attempts,
        "images_seen": None if result is None else result.images_seen,
        "labelled_images_seen": None if result is None else result.labelled_images_seen,
        "parameters_training": None if result is None else result.parameters_training,
        "parameters_predictor": None if result is None else result.parameters_predictor,
        "peak_memory_bytes": None if result is None else result.peak_memory_bytes,
        "looks": None if result is None else len(result.looks),
        "wall_seconds": None if result is None else result.wall_seconds,
        "slurm_job": None if result is None else result.shown.get("slurm_job"),
    }


def flatten(engine: Engine) -> dict[str, Any]:
    """Engine settings with dotted names: {"batch_size": 24, "optimiser.nesterov": False, ...}."""
    flat: dict[str, Any] = {}
    for name, value in engine.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": setting for inner, setting in value.items()})
        else:
            flat[name] = value
    return flat


def look_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Validations of a run; Dice is the mean over foreground classes, a fraction.

    No rows where the dataset has no validation cases.
    """
    return [
        {
            "unit": record.id,
            "look": look.look,
            "progress": look.progress,
            "step": look.step,
            "device_seconds": look.device_seconds,
            "dice": look.mean_dice,
            "unlabelled_dice": look.mean_unlabelled_dice,
        }
        for look in record.validations
        if look.dice
    ]
