from pathlib import Path

from harness.tracking import check_tracking
from tests.services import mlflow_server, postgres, require_mlflow
from tests.tracking.view import MLFLOW_RUNS, RUNS, content, small_suite, track


def test_a_server_that_stands_on_postgres(desk: Path):
    require_mlflow()
    store = small_suite(desk)
    with postgres() as database:
        assert "created by the first run" in check_tracking(database)
        assert track(store, database).added == RUNS
        before = told(database)
        assert len(before) == MLFLOW_RUNS
        assert track(store, database).kept == RUNS
        with mlflow_server(desk, database) as (uri, _):
            assert track(store, uri).kept == RUNS
            assert told(uri) == before
            remove_all(uri)
            assert track(store, uri).added == RUNS
            assert told(uri) == before
    track(store)
    assert {name: values for name, _, values in on_sqlite(desk)} == {name: values for name, _, values, _ in before}


def told(uri: str) -> list[tuple[str, str, dict[str, float], dict[str, str]]]:
    """Name, status, last metrics and params of all runs that are there."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("phantom_small")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return sorted(
        ((run.info.run_name, run.info.status, run.data.metrics, run.data.params) for run in found), key=lambda r: r[0]
    )


def remove_all(uri: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("phantom_small")
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id]):
        client.delete_run(run.info.run_id)


def on_sqlite(desk: Path) -> list[tuple[str, str, dict[str, float]]]:
    found = content(desk / "mlflow.db").values()
    return [
        (name, status, {key: points[-1][1] for key, points in metrics.items()})
        for name, status, _, _, _, metrics, _ in found
    ]
