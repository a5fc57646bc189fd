"""One MLflow run as plain values: what a unit's records look like over there. Imports no MLflow, touches no service."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from harness.spec.errors import HarnessError, RecordError
from harness.spec.records import Environment, Result, Unit
from harness.store import UnitFolder
from harness.track.series import Point, Span, final_points, history_points, look_points, result_points

LAYOUT = 2
"""Raised when the same records give other runs, so that tracking again replaces the old ones."""

ARTIFACTS = ("unit.json", "result.json", "ledger.jsonl", "cases.parquet", "arrays.npz")
"""The records that go along; never a checkpoint."""

UNIT_TAG = "harness.unit"
METHOD_TAG = "harness.method"
RECORD_TAG = "harness.record"
"""Tags that say which unit (or, of a parent run, which method) a run mirrors, and which version of its records."""


@dataclass(frozen=True)
class RunContent:
    """What one MLflow run holds."""

    name: str
    status: Literal["FINISHED", "FAILED"]
    span: Span
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    artifacts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Finished:
    """A unit that is done, with the fingerprint of its records."""

    folder: UnitFolder
    unit: Unit
    result: Result
    record: str

    @classmethod
    def read(cls, folder: UnitFolder) -> Finished | None:
        """Read unit.json and result.json; None while the unit is not done.

        Raises:
            RecordError: A record is missing, damaged or of a newer schema; the message names the file.
        """
        with readable(folder):
            result = folder.result()
            if result is None:
                return None
            content = (folder.path / "result.json").read_bytes()
        return cls(folder, folder.unit, result, hashlib.sha256(b"%d\n%s" % (LAYOUT, content)).hexdigest())

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
        points = [
            *look_points(result, span),
            *history_points(folder.history(), span),
            *result_points(unit, result, span),
        ]
        if finished.ok:
            points += final_points(folder.cases(), span, step=result.spent.useful_steps)
    return RunContent(
        name=f"{unit.label} ({unit.id[:8]})",
        status="FINISHED" if finished.ok else "FAILED",
        span=span,
        tags=_tags(finished, environment),
        params=_params(unit),
        points=tuple(points),
        artifacts=tuple(path for path in (folder.path / name for name in ARTIFACTS) if path.exists()),
    )


def _tags(finished: Finished, environment: Environment | None) -> dict[str, str]:
    unit, failure = finished.unit, finished.result.failure
    tags: dict[str, str | None] = {
        UNIT_TAG: unit.id,
        RECORD_TAG: finished.record,
        "method": unit.method,
        "labelled": finished.labelled,
        "subset": str(unit.subset),
        "seed": str(unit.seed),
        "role": unit.role,
        "status": finished.result.status,
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
        "environment": environment.fingerprint,
        **{f"environment.{name}": None if value is None else str(value) for name, value in compared.items()},
        **{f"environment.{name}": value for name, value in environment.shown.items()},
        "commit": commit,
        "mlflow.source.git.commit": commit,
    }


def _params(unit: Unit) -> dict[str, str]:
    values = unit.model_dump(mode="json", exclude={"schema_version", "budget"})
    budget = {"currency": unit.budget.currency, "amount": unit.budget.amount}
    flat = dict(_flatten({**values, "budget": budget}))
    return {**flat, "labelled": "all" if unit.labelled is None else str(unit.labelled)}


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - anything JSON can hold
    """Nested dictionaries as dotted names; text as it is, all else as JSON."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else key)
    elif prefix:
        yield prefix, value if isinstance(value, str) else json.dumps(value)
