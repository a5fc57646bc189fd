"""One unit's records as rows of the frames in `harness.leaderboard.frame`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.api.strict import canonical_json
from harness.leaderboard.conditions import Conditions
from harness.records.run_folder import UnitFolder
from harness.records.schema import Engine, Result, Slot, Unit
from harness.records.selection import SelectionEntry

LOOK_COLUMNS = ("unit", "look", "progress", "step", "device_seconds", "dice", "unlabelled_dice")


@dataclass(frozen=True)
class Loaded:
    """A selected unit as found on disk; unit, result and conditions are None as far as they do not exist yet.

    suite_engine: the settings of the suite, which the unit's may differ from; None in records of early versions.
    """

    folder: UnitFolder
    entry: SelectionEntry
    suite_engine: Engine | None = None
    unit: Unit | None = None
    result: Result | None = None
    conditions: Conditions | None = None
    commit: str | None = None

    @property
    def slot(self) -> Slot:
        """What the unit fills."""
        return self.entry.slot

    @property
    def ok(self) -> bool:
        """Whether it has numbers."""
        return self.result is not None and self.result.status == "ok"


def arm(slot: Slot) -> str:
    """What is averaged into one row: a method at a labelled count, "ua_mt@7"; "supervised_full@all" for a reference."""
    return f"{slot.method}@{'all' if slot.labelled is None else slot.labelled}"


def unit_row(one: Loaded, status: str) -> dict[str, Any]:
    """One row per selected unit; figures are None where it has no result. `reference`: shown apart, never ranked."""
    row: dict[str, Any] = {
        "unit": one.folder.id,
        "arm": arm(one.slot),
        "method": one.slot.method,
        "labelled": one.slot.labelled,
        "reference": one.slot.labelled is None or not one.entry.ranked,
        "subset": one.slot.subset,
        "seed": one.slot.seed,
        "status": status,
        "method_version": None if one.unit is None else one.unit.method_version,
        "engine": None if one.unit is None else canonical_json(flatten(one.unit.engine)),
        "suite_engine": None if one.suite_engine is None else canonical_json(flatten(one.suite_engine)),
        "failure_kind": None,
        "failure_reason": None,
    }
    return {**row, **_figures(one.result)}


def _figures(result: Result | None) -> dict[str, Any]:
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
            flat.update({f"{name}.{inner}": one for inner, one in value.items()})
        else:
            flat[name] = value
    return flat


def look_rows(one: Loaded) -> list[dict[str, Any]]:
    """Validation looks of a finished unit; Dice is the mean over foreground classes, a fraction.

    None where the dataset has no validation cases.
    """
    looks = [] if one.result is None else one.result.looks
    return [
        {
            "unit": one.folder.id,
            "look": look.look,
            "progress": look.progress,
            "step": look.step,
            "device_seconds": look.device_seconds,
            "dice": look.mean_dice,
            "unlabelled_dice": look.mean_unlabelled_dice,
        }
        for look in looks
        if look.dice
    ]
