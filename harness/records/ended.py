"""What the runs that ended say in run.json and result.json, as columns with a row for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import TypeAdapter

from harness.api.errors import RecordError
from harness.api.strict import Strict, canonical_json
from harness.records.budget import Budget
from harness.records.index import Index
from harness.records.run_folder import RunFolder
from harness.records.schema import (
    CalibrationRef,
    DatasetRef,
    Engine,
    Pace,
    Preprocessing,
    Result,
    Spent,
    Validation,
)

_WORD = pa.dictionary(pa.int32(), pa.string())
"""For texts that many runs share."""

_VALIDATION = pa.struct({
    "validation": pa.int64(), "progress": pa.float64(), "step": pa.int64(), "device_seconds": pa.float64(),
    "dice": pa.float64(), "unlabelled_dice": pa.float64(),
})  # fmt: skip

COUNTS = (
    "images_seen", "labelled_images_seen", "parameters_training", "parameters_predictor", "peak_memory_bytes",
)  # fmt: skip

MOST = 2**63
"""Of counts, so that they are integers of a table."""

SCHEMA = pa.schema({
    "method": pa.string(), "method_version": pa.int64(), "params": pa.string(), "settings": _WORD,
    "status": _WORD, "failure_kind": _WORD, "failure_reason": pa.string(), "environment": _WORD, "shown": _WORD,
    "useful_device_seconds": pa.float64(), "lost_device_seconds": pa.float64(), "useful_steps": pa.int64(),
    "lost_steps": pa.int64(), "attempts": pa.int64(), **dict.fromkeys(COUNTS, pa.int64()), "wall_seconds": pa.string(),
    "validations": pa.list_(_VALIDATION), "validation_dice": pa.float64(), "validated": _WORD, "paces": _WORD,
})  # fmt: skip
"""
params, settings, shown, wall_seconds, validated: JSON; settings are `Settings`, validated `Validated`.
validations: a Dice is a mean over foreground classes, null where there is none.
validation_dice: of the last validation.
paces: JSON, what steps cost beside the validations.
"""


class Settings(Strict):
    """What many runs share of run.json."""

    protocol_version: int
    dataset: DatasetRef
    preprocessing: Preprocessing
    engine: Engine
    budget: Budget
    calibration: CalibrationRef | None = None


PACES = TypeAdapter(list[Pace])


def parse_paces(text: str) -> list[Pace]:
    """The column `paces` of a run, parsed."""
    return PACES.validate_json(text)


class Validated(Strict):
    """What a run's validations are of.

    dice, patients: names of classes and patients, sorted.
    impossible:     numbers of the validations with a Dice outside [0, 1].
    """

    dice: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    impossible: tuple[int, ...] = ()

    @classmethod
    def by(cls, validations: Sequence[Validation]) -> Validated:
        return cls(
            dice=tuple(sorted({name for validation in validations for name in validation.dice})),
            patients=tuple(sorted({name for validation in validations for name in validation.patients})),
            impossible=tuple(validation.validation for validation in validations if not validation.possible),
        )


@dataclass(frozen=True)
class EndedRuns:
    """Runs that have a result; table: columns `run` and `SCHEMA`, in no order."""

    table: pa.Table

    @cached_property
    def rows(self) -> dict[str, int]:
        """Run id -> its row."""
        return {run: row for row, run in enumerate(self.table["run"].to_pylist())}

    def column(self, name: str) -> list[Any]:
        """The values of one column; equal texts that many runs share are one object."""
        column = self.table[name].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            values: list[Any] = column.to_pylist()
            return values
        words = column.dictionary.to_pylist()
        return [None if place is None else words[place] for place in column.indices.to_pylist()]

    def values(self, run: str) -> dict[str, Any] | None:
        """All of one run; None where it has not ended."""
        rows: list[dict[str, Any]] = self.table.slice(self.rows[run], 1).to_pylist() if run in self.rows else []
        return rows[0] if rows else None

    @cached_property
    def settings(self) -> dict[str, Settings]:
        """The distinct texts of the column `settings`, parsed."""
        return {text: Settings.model_validate_json(text) for text in dict.fromkeys(self.column("settings"))}

    @cached_property
    def validated(self) -> dict[str, Validated]:
        """The distinct texts of the column `validated`, parsed."""
        return {text: Validated.model_validate_json(text) for text in dict.fromkeys(self.column("validated"))}

    @cached_property
    def spent(self) -> list[Spent]:
        """What each run spent, by row."""
        names = list(Spent.model_fields)
        columns = zip(*map(self.column, names), strict=True)
        return [Spent.model_construct(**dict(zip(names, values, strict=True))) for values in columns]


def read_ended(root: Path, runs: Iterable[str], folder_of: Callable[[str], RunFolder], *, keep: bool) -> EndedRuns:
    """Those of these runs that have ended; arguments as of `Index.rows`. Raises `RecordError`."""
    return EndedRuns(INDEX.rows(root, list(dict.fromkeys(runs)), folder_of, keep=keep))


def _read(folders: Sequence[RunFolder]) -> pa.Table:
    rows = [_row(folder) for folder in folders]
    return pa.table({field.name: pa.array([row[field.name] for row in rows], field.type) for field in SCHEMA})


def _row(folder: RunFolder) -> dict[str, Any]:
    run, result = folder.run, folder.require_result()
    settings = Settings(**{name: getattr(run, name) for name in Settings.model_fields})
    _refuse_absurd(folder, result)
    return {
        "method": run.method,
        "method_version": run.method_version,
        "params": canonical_json(run.params),
        "settings": canonical_json(settings.model_dump(mode="json")),
        "status": result.status,
        "failure_kind": result.failure and result.failure.kind,
        "failure_reason": result.failure and result.failure.reason,
        "environment": result.environment,
        "shown": json.dumps(result.shown),
        **dict(result.spent),
        **{name: getattr(result, name) for name in COUNTS},
        "wall_seconds": json.dumps(result.wall_seconds),
        "validations": [_validation(validation) for validation in result.validations],
        "validation_dice": result.validations[-1].mean_dice if result.validations else None,
        "paces": PACES.dump_json([own.pace for own in result.validations if own.pace is not None]).decode(),
        "validated": Validated.by(result.validations).model_dump_json(),
    }


def _refuse_absurd(folder: RunFolder, result: Result) -> None:
    counts = [*dict(result.spent).values(), *(getattr(result, name) for name in COUNTS)]
    counts += [number for validation in result.validations for number in (validation.validation, validation.step)]
    if max(map(abs, counts)) >= MOST:
        raise RecordError(f"{folder.path / 'result.json'}: {max(map(abs, counts)):g} is more than a run counts")


def _validation(validation: Validation) -> dict[str, Any]:
    own = {name: getattr(validation, name) for name in ("validation", "progress", "step", "device_seconds")}
    return own | {"dice": validation.mean_dice, "unlabelled_dice": validation.mean_unlabelled_dice}


INDEX = Index("runs.arrow", SCHEMA, ("result.json", "run.json"), _read)
