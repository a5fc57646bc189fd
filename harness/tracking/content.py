"""One MLflow run as plain values. Imports no MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.records.schema import Environment
from harness.tracking.inputs import Input
from harness.tracking.params import run_params
from harness.tracking.series import Point, Span, at_end, history_points, main_first, result_points, validation_points
from harness.tracking.tracked import TrackedRun

if TYPE_CHECKING:
    import pandas as pd

ARTIFACTS = ("run.json", "result.json", "ledger.jsonl", "cases.parquet", "arrays.npz")
"""The records that become artifacts; never a checkpoint."""

SUITE_TAG = "harness.suite"
METHOD_TAG = "harness.method"
RUN_TAG = "harness.run"
RECORD_TAG = "harness.record"
ROLE_TAG = "harness.role"
SCHEMA_TAG = "harness.schema"
"""What is mirrored (a suite, an entry in METHOD_TAG, or a run), which version of its records, its role (suite, method,
final or search), and the schema of the records."""

CHOSEN_TAG = "selected"
"""yes or no. Finals: whether the leaderboard counts them. Search: whether finals run with this configuration."""


@dataclass(frozen=True)
class Artifact:
    """A file that becomes an artifact, and the folder of the run in which it lies."""

    path: Path
    folder: str = ""


@dataclass(frozen=True)
class RunContent:
    """What one MLflow run holds; tables are artifacts that open as tables, by file name."""

    name: str
    span: Span
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[Point, ...]
    status: Literal["FINISHED", "FAILED"] = "FINISHED"
    inputs: tuple[Input, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def run_content(run: TrackedRun) -> RunContent:
    """Mirror one run. Raises `RecordError` for a record that is missing or damaged."""
    result, span = run.result, run.span
    return RunContent(
        name=_name(run),
        status="FAILED" if result.status == "failed" else "FINISHED",
        span=span,
        tags=_tags(run),
        params=run_params(run.asked),
        points=(
            *at_end(main_first(run.test_metrics), result.spent.useful_steps, span),
            *validation_points(result, span),
            *history_points(run.record.folder.history(), span),
            *result_points(run.asked, result, span),
        ),
        inputs=run.inputs,
        artifacts=tuple(_artifacts(run.record.folder.path)),
    )


def _artifacts(folder: Path) -> Iterator[Artifact]:
    """Records and figures that exist."""
    yield from (Artifact(folder / name) for name in ARTIFACTS if (folder / name).exists())
    yield from (Artifact(path, "figures") for path in sorted((folder / "figures").glob("*.png")))


def _name(run: TrackedRun) -> str:
    """A final as the command line names it, ua_mt/7/0/1; a trial by its id."""
    if run.is_search:
        return f"{run.entry}/search/{run.record.id[:8]}"
    return f"{run.entry}/{run.labelled}/{run.asked.subset}/{run.asked.seed}"


def _tags(run: TrackedRun) -> dict[str, str]:
    failure = run.result.failure
    tags: dict[str, str | None] = {
        "method": run.entry,
        "labelled": run.labelled,
        "subset": str(run.asked.subset),
        "seed": str(run.asked.seed),
        "role": run.asked.role,
        "status": run.result.status,
        "budget": str(run.asked.budget),
        "failure.kind": failure.kind if failure else None,
        "failure.reason": failure.reason if failure else None,
        "weights_sha256": run.result.weights_sha256,
        **_environment_tags(run.record.environment),
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
