"""One MLflow run as plain values: what a unit's records look like over there. Imports no MLflow, touches no service."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.api.errors import HarnessError, RecordError
from harness.records.run_folder import UnitFolder
from harness.records.schema import Environment, Result, Unit
from harness.tracking.inputs import Input, unit_inputs
from harness.tracking.params import unit_params
from harness.tracking.series import (  # fmt: skip
    Point,
    Span,
    at_end,
    case_metrics,
    history_points,
    look_points,
    main_first,
    result_points,
)

if TYPE_CHECKING:
    import pandas as pd

LAYOUT = 3
"""Raised when the same records give other runs, so that tracking again replaces the old ones."""

ARTIFACTS = ("unit.json", "result.json", "ledger.jsonl", "cases.parquet", "arrays.npz")
"""The records that go along; never a checkpoint."""

SUITE_TAG = "harness.suite"
METHOD_TAG = "harness.method"
UNIT_TAG = "harness.unit"
RECORD_TAG = "harness.record"
ROLE_TAG = "harness.role"
"""Tags that say which suite, method (of a parent run) or unit a run mirrors, which version of its records, and what it
is: suite, method, final or search."""


@dataclass(frozen=True)
class Artifact:
    """A file that goes along, and the folder of the run in which it lies."""

    path: Path
    folder: str = ""


@dataclass(frozen=True)
class RunContent:
    """What one MLflow run holds; tables are artifacts that open as tables, by file name."""

    name: str
    status: Literal["FINISHED", "FAILED"]
    span: Span
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    inputs: tuple[Input, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Finished:
    """A unit that is done, with the fingerprint of its records; method: the row of the suite that it belongs to."""

    folder: UnitFolder
    unit: Unit
    result: Result
    record: str
    method: str

    @classmethod
    def read(cls, folder: UnitFolder, row: str | None = None) -> Finished | None:
        """Read unit.json and result.json; None while the unit is not done. row: None for the method's own name.

        Raises:
            RecordError: A record is missing, damaged or of a newer schema; the message names the file.
        """
        with readable(folder):
            result = folder.result()
            if result is None:
                return None
            content = (folder.path / "result.json").read_bytes()
        record = hashlib.sha256(b"%d\n%s" % (LAYOUT, content)).hexdigest()
        return cls(folder, folder.unit, result, record, row or folder.unit.method)

    @property
    def span(self) -> Span:
        """From the first line of the ledger to the end of the unit, in milliseconds since 1970."""
        lines = self.folder.ledger.lines()
        fallback = lines[-1].at if lines else ""
        end = milliseconds(self.result.finished_at or fallback)
        return Span(min(milliseconds(lines[0].at), end) if lines else end, end)

    @property
    def labelled(self) -> str:
        """Labelled patients as text, `all` for the ceiling."""
        return "all" if self.unit.labelled is None else str(self.unit.labelled)

    @property
    def ok(self) -> bool:
        """Whether it has numbers."""
        return self.result.status == "ok"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The data that it read; a final that has numbers opened the test split, a search unit never does."""
        return unit_inputs(self.unit, tested=self.unit.role == "final" and self.ok)

    @cached_property
    def tested(self) -> Mapping[str, float]:
        """Metrics of its test cases; none for a unit that opened no test split. A damaged file is a `RecordError`."""
        path = self.folder.path / "cases.parquet"
        if not self.ok or (self.unit.role == "search" and not path.exists()):
            return {}
        with readable(self.folder):
            return case_metrics(self.folder.cases())


def milliseconds(at: str) -> int:
    """ISO 8601 (UTC unless it says otherwise) as milliseconds since 1970; 0 for no time at all."""
    if not at:
        return 0
    time = datetime.fromisoformat(at)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


@contextmanager
def readable(folder: UnitFolder) -> Iterator[None]:
    """Turn whatever a missing or damaged file raises into one `RecordError` that names the unit's folder."""
    try:
        yield
    except HarnessError:
        raise
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        raise RecordError(f"{folder.path}: a record is missing or damaged: {error}") from None


def unit_content(finished: Finished) -> RunContent:
    """The run of one unit."""
    folder, unit, result, span = finished.folder, finished.unit, finished.result, finished.span
    with readable(folder):
        environment = folder.environment()
        points = (
            *at_end(main_first(finished.tested), result.spent.useful_steps, span),
            *look_points(result, span),
            *history_points(folder.history(), span),
            *result_points(unit, result, span),
        )
    return RunContent(
        name=_name(finished),
        status="FAILED" if result.status == "failed" else "FINISHED",
        span=span,
        tags=_tags(finished, environment),
        params=unit_params(unit),
        points=points,
        inputs=finished.inputs,
        artifacts=tuple(_artifacts(folder.path)),
    )


def _artifacts(folder: Path) -> Iterator[Artifact]:
    """Records and figures that exist."""
    yield from (Artifact(folder / name) for name in ARTIFACTS if (folder / name).exists())
    yield from (Artifact(path, "figures") for path in sorted((folder / "figures").glob("*.png")))


def _name(finished: Finished) -> str:
    """A final as the command line names it, ua_mt/7/0/1; a search unit by its id."""
    unit = finished.unit
    if unit.role == "search":
        return f"{finished.method}/search/{unit.id[:8]}"
    return f"{finished.method}/{finished.labelled}/{unit.subset}/{unit.seed}"


def _tags(finished: Finished, environment: Environment | None) -> dict[str, str]:
    unit, failure = finished.unit, finished.result.failure
    tags: dict[str, str | None] = {
        UNIT_TAG: unit.id,
        RECORD_TAG: finished.record,
        ROLE_TAG: unit.role,
        "method": finished.method,
        "labelled": finished.labelled,
        "subset": str(unit.subset),
        "seed": str(unit.seed),
        "role": unit.role,
        "status": finished.result.status,
        "budget": str(unit.budget),
        "failure.kind": failure.kind if failure else None,
        "failure.reason": failure.reason if failure else None,
        "weights_sha256": finished.result.weights_sha256,
        **_environment_tags(environment),
    }
    return {name: value for name, value in tags.items() if value is not None}


def _environment_tags(environment: Environment | None) -> dict[str, str | None]:
    if environment is None:
        return {}
    compared = environment.model_dump(mode="json", exclude={"shown", "schema_version"})
    commit = environment.shown.get("commit")
    return {
        "device_model": environment.device_model,
        "environment": environment.fingerprint,
        **{f"environment.{name}": None if value is None else str(value) for name, value in compared.items()},
        **{f"environment.{name}": value for name, value in environment.shown.items()},
        "commit": commit,
        "mlflow.source.git.commit": commit,
    }
