"""One MLflow run as plain values: its settings as columns, its numbers, tags and files. Imports no MLflow."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from harness.records.schema import Run
from harness.tracking.series import Point, Span, at_end, history_points, main_first, result_points, validation_points
from harness.tracking.tracked import Input, TrackedRun

SHOWN_VALUES = 6
"""Of a setting in which the runs below a parent run differ; more are counted."""

ARTIFACTS = ("run.json", "result.json", "ledger.jsonl", "cases.parquet", "arrays.npz")


class Tag:
    """Tags by which tracking finds its runs again.

    SUITE, METHOD, RUN: what is mirrored: a suite, an entry or a run; each MLflow run has one of these.
    RECORD, SCHEMA:     which version of its records, and their schema.
    ROLE:               suite, method, final or search.
    CHOSEN:             yes or no. Finals: whether the leaderboard counts them. Search: whether finals run with it.
    """

    SUITE = "harness.suite"
    METHOD = "harness.method"
    RUN = "harness.run"
    RECORD = "harness.record"
    ROLE = "harness.role"
    SCHEMA = "harness.schema"
    ORIGIN = "harness.origin"
    CHOSEN = "selected"
    PARENT = "mlflow.parentRunId"
    COLOUR = "mlflow.runColor"


@dataclass(frozen=True)
class Artifact:
    """A file that becomes an artifact, and its folder in the run."""

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
    asked, result, span, folder = run.asked, run.result, run.span, run.record.folder.path
    # a final as the command line names it, ua_mt/7/0/1, on a ladder ua_mt/7/0/1/500; a trial by its id
    rung = "" if run.rung is None else f"/{run.rung}"
    name = f"search/{run.record.id[:8]}" if run.is_search else f"{run.labelled}/{asked.subset}/{asked.seed}{rung}"
    return RunContent(
        name=f"{run.entry}/{name}",
        status="FAILED" if result.status == "failed" else "FINISHED",
        span=span,
        tags=_tags(run),
        params=run_params(asked),
        points=(
            *at_end(main_first(run.test_metrics), result.spent.useful_steps, span),
            *validation_points(result, span),
            *history_points(run.record.folder.history(), span),
            *result_points(asked, result, span),
        ),
        inputs=run.inputs,
        artifacts=(
            *(Artifact(folder / name) for name in ARTIFACTS if (folder / name).exists()),
            *(Artifact(path, "figures") for path in sorted((folder / "figures").glob("*.png"))),
        ),
    )


def _tags(run: TrackedRun) -> dict[str, str]:
    result, environment = run.result, run.record.environment
    tags: dict[str, object] = {
        "method": run.entry,
        "labelled": run.labelled,
        "rung": run.rung,
        **run.asked.model_dump(include={"subset", "seed", "role"}),
        "budget": run.asked.budget,
        **result.model_dump(include={"status", "weights_sha256"}),
    }
    if result.failure is not None:
        tags |= {"failure.kind": result.failure.kind, "failure.reason": result.failure.reason}
    if environment is not None:
        compared = environment.model_dump(mode="json", exclude={"shown", "schema_version"})
        commit = environment.shown.get("commit")
        tags |= {f"environment.{name}": value for name, value in (compared | environment.shown).items()}
        tags |= {"device_model": environment.device_model, "environment": environment.fingerprint}
        tags |= {"commit": commit, "mlflow.source.git.commit": commit}
    return {name: str(value) for name, value in tags.items() if value is not None}


def run_params(asked: Run) -> dict[str, str]:
    """All that was asked; hyper-parameters under their own names, or `params.NAME` where a run has such a field."""
    values = asked.model_dump(mode="json", exclude={"schema_version", "budget", "params"})
    values["budget"] = {"currency": asked.budget.currency, "amount": asked.budget.amount}
    values["labelled"] = "all" if asked.labelled is None else asked.labelled
    own = {f"params.{name}" if name in values else name: value for name, value in asked.params.items()}
    return dict(_flatten({**values, **own}))


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - anything JSON can hold
    """Nested dictionaries as dotted names; text as it is, all else as JSON.

    One of several families (`student_temperature: {family: cosine, low: 0.1, ...}`) also stands as a whole, for no
    other column is shared by all families.
    """
    if isinstance(value, dict) and value:
        if prefix and "family" in value:
            numbers = (inner for name, inner in value.items() if name != "family")
            shown = (f"{inner:.4g}" if isinstance(inner, float) else json.dumps(inner) for inner in numbers)
            yield prefix, " ".join([str(value["family"]), *shown])  # short: MLflow cuts the labels of its axes
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else key)
    elif prefix:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def joined_params(runs: Sequence[Run]) -> dict[str, str]:
    """Settings that all runs have: the value that they share, or the different ones side by side."""
    params = {}
    frame = pd.DataFrame([run_params(asked) for asked in runs]).dropna(axis="columns")
    for name in frame:
        values = sorted(frame[name].unique(), key=lambda value: (len(value), value))
        params[str(name)] = ", ".join(values) if len(values) <= SHOWN_VALUES else f"{len(values)} values"
    return params
