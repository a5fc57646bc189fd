"""What an MLflow database holds, read with SQL alone, and the small suites that tests track into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.store import RunStore
from harness.track import TrackReport, track_store
from tests.synthetic import RunSpec, write_run

SMALL = RunSpec(
    methods={"supervised": 0.0, "ua_mt": 0.15, "supervised_full": 0.0},
    labelled=(3,),
    seeds=2,
    patients=2,
    looks=2,
    history_steps=6,
    failed=frozenset({("ua_mt", 3, 0, 1)}),
)
"""Three methods of two seeds: five units with numbers, one that failed."""

UNITS = 6
RUNS = UNITS + 3


@dataclass
class Run:
    """One run that is not deleted."""

    name: str
    status: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    artifacts: Path = Path()

    def last(self, metric: str) -> float:
        """Value at the last step."""
        return self.metrics[metric][-1][1]


def small_suite(folder: Path, spec: RunSpec = SMALL) -> RunStore:
    return write_run(folder / "runs" / "phantom_small", spec)


def track(store: RunStore, uri: str | None = None) -> TrackReport:
    """Track without anything to say."""
    said: list[str] = []
    report = track_store(store, uri, said.append)
    assert said == []
    return report


@contextmanager
def rows(database: Path, query: str) -> Iterator[list[Any]]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection.execute(query).fetchall()


def runs(database: Path) -> dict[str, Run]:
    """Run id -> all that the database says about it."""
    with rows(
        database, "SELECT run_uuid, name, status, artifact_uri FROM runs WHERE lifecycle_stage = 'active'"
    ) as found:
        result = {
            run: Run(name, status, {}, artifacts=Path(uri.removeprefix("file:" + "//")))
            for run, name, status, uri in found
        }
    for table, attribute in (("tags", "tags"), ("params", "params")):
        with rows(database, f"SELECT run_uuid, key, value FROM {table}") as found:
            for run, key, value in found:
                if run in result:
                    getattr(result[run], attribute)[key] = value
    with rows(database, "SELECT run_uuid, key, step, value, timestamp FROM metrics ORDER BY step, timestamp") as found:
        for run, key, *point in found:
            if run in result:
                result[run].metrics.setdefault(key, []).append(tuple(point))
    return result


def by_key(database: Path) -> dict[str, Run]:
    """Unit id or method name -> its run; fails on a duplicate."""
    found = list(runs(database).values())
    keyed = {run.tags.get("harness.unit") or run.tags["harness.method"]: run for run in found}
    assert len(keyed) == len(found), "two runs of one unit or method"
    return keyed


def content(database: Path) -> dict[str, Any]:
    """All that tracking says, without the ids that MLflow draws; parents by name."""
    everything = runs(database)
    parents = {run_id: run.name for run_id, run in everything.items()}
    return {
        key: (
            run.name,
            run.status,
            {name: value for name, value in run.tags.items() if name != "mlflow.parentRunId"},
            parents.get(run.tags.get("mlflow.parentRunId", "")),
            run.params,
            run.metrics,
            sorted(path.name for path in run.artifacts.glob("*")),
        )
        for key, run in by_key(database).items()
    }
