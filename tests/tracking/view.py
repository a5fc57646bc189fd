"""What an MLflow database holds, read with SQL alone, and the small suites that tests track into it."""

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import tracking
from harness.records.reader import SuiteRecords
from tests.synthetic import RunSpec, write_records

SMALL = RunSpec(
    methods={"supervised": 0.0, "ua_mt": 0.15, "supervised_full": 0.0},
    labelled=(3,),
    seeds=2,
    patients=2,
    validations=2,
    history_steps=6,
    failed={("ua_mt", 3, 0, 1)},
)
"""Three methods of two seeds: five runs with numbers, one that failed."""

RUNS = 6
MLFLOW_RUNS = RUNS + 3 + 1
"""One for each run, for each of three entries, and for the suite."""

CURVE = {"family": "cosine", "low": 0.1, "high": 1.0, "periods": 10}
SEARCHED = RunSpec(
    methods={"supervised": 0.0, "ua_mt": 0.15},
    labelled=(3,),
    seeds=2,
    patients=2,
    validations=2,
    history_steps=6,
    search={"ua_mt": [{"centers_per_class": r, "student_temperature": CURVE} for r in (1, 2, 4)]},
    chosen={"ua_mt": {"centers_per_class": 2, "student_temperature": CURVE}},
)
"""A search of three configurations before the finals, which run with the second."""


@dataclass
class Run:
    name: str
    status: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    artifacts: Path = Path()

    def last(self, metric):
        return self.metrics[metric][-1][1]


def small_suite(folder, spec=SMALL):
    return write_records(folder / "runs" / "phantom_small", spec)


def track(store, uri=None):
    return tracking.track(SuiteRecords(store), uri)


def client(desk):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{desk}/mlflow.db")


@contextmanager
def rows(desk, query):
    with closing(sqlite3.connect(desk / "mlflow.db")) as connection:
        yield connection.execute(query).fetchall()


def runs(desk):
    with rows(desk, "SELECT run_uuid, name, status, artifact_uri FROM runs WHERE lifecycle_stage = 'active'") as found:
        result = {
            run: Run(name, status, {}, artifacts=Path(uri.removeprefix("file:" + "//")))
            for run, name, status, uri in found
        }
    for table, attribute in (("tags", "tags"), ("params", "params")):
        with rows(desk, f"SELECT run_uuid, key, value FROM {table}") as found:
            for run, key, value in found:
                if run in result:
                    getattr(result[run], attribute)[key] = value
    with rows(desk, "SELECT run_uuid, key, step, value, timestamp FROM metrics ORDER BY step, timestamp") as found:
        for run, key, *point in found:
            if run in result:
                result[run].metrics.setdefault(key, []).append(tuple(point))
    return result


def by_key(desk):
    found = list(runs(desk).values())
    keyed = {run.tags.get("harness.run") or run.tags.get("harness.method", "suite"): run for run in found}
    assert len(keyed) == len(found), "two runs of one run or method"
    return keyed


def content(desk):
    everything = runs(desk)
    parents = {run_id: run.name for run_id, run in everything.items()}
    return {
        key: (
            run.name,
            run.status,
            {name: value for name, value in run.tags.items() if name != "mlflow.parentRunId"},
            parents.get(run.tags.get("mlflow.parentRunId", "")),
            run.params,
            run.metrics,
            sorted(path.relative_to(run.artifacts).as_posix() for path in run.artifacts.rglob("*")),
        )
        for key, run in by_key(desk).items()
    }
