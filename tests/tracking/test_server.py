import json
import urllib.parse
import urllib.request

import pytest

from harness.api.errors import ServiceError
from harness.records.suite_folder import SuiteFolder
from tests.services import mlflow_server, stop
from tests.support import LIMIT_SECONDS
from tests.tracking.view import MLFLOW_RUNS, RUNS, content, runs, small_suite, track


def ask(uri, endpoint, **query):
    with urllib.request.urlopen(f"{uri}/{endpoint}?{urllib.parse.urlencode(query)}", timeout=LIMIT_SECONDS) as answer:
        return answer.read()


def test_a_server(desk):
    """One server, for it takes seconds to start: what it shows of ./mlflow.db, tracking through it, its death."""
    store = small_suite(desk)
    track(store)
    local = content(desk)
    with mlflow_server(desk) as (uri, process):
        _shows_what_was_tracked_before_it_started(uri, desk)

        remote = SuiteFolder.open(store.root.rename(store.root.with_name("over_http")))
        report = track(remote, uri)
        assert (report.added, report.uri) == (RUNS, uri)
        assert track(remote, uri).kept == RUNS
        _is_the_same_experiment_twice(desk, local)

        stop(process)
        with pytest.raises(ServiceError, match="Connection refused"):
            track(remote, uri)


def _shows_what_was_tracked_before_it_started(uri, desk):
    found = json.loads(ask(uri, "api/2.0/mlflow/experiments/get-by-name", experiment_name="phantom_small"))
    assert found["experiment"]["lifecycle_stage"] == "active"
    run_id, run = next((i, r) for i, r in runs(desk).items() if r.status == "FAILED")
    listed = json.loads(ask(uri, "api/2.0/mlflow/artifacts/list", run_id=run_id))
    assert {file["path"] for file in listed["files"]} == {"run.json", "result.json", "ledger.jsonl"}
    assert ask(uri, "get-artifact", path="run.json", run_uuid=run_id) == (run.artifacts / "run.json").read_bytes()


OWN_TAGS = {"mlflow.parentRunId", "mlflow.runName", "suite", "harness.suite", "harness.record"}
"""Tags that follow the name of the suite, which is another one for the second experiment."""


def _is_the_same_experiment_twice(desk, local):
    everything = list(runs(desk).values())
    assert len(everything) == 2 * MLFLOW_RUNS
    for key, (name, status, tags, _, params, metrics, _) in local.items():
        twins = [run for run in everything if run.name == name or (key == "suite" and run.name == "over_http")]
        assert len(twins) == 2
        for run in twins:
            assert (run.status, run.params, run.metrics) == (status, params, metrics)
            assert {k: v for k, v in run.tags.items() if k not in OWN_TAGS} == {
                k: v for k, v in tags.items() if k not in OWN_TAGS
            }
    over_http = [run for run in everything if str(run.artifacts).startswith("mlflow-artifacts:")]
    assert len(over_http) == MLFLOW_RUNS
    stored = {path.name for path in (desk / "mlartifacts").rglob("*.parquet")}
    assert stored == {"cases.parquet"}
