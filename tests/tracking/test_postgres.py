from harness.tracking import check_tracking
from tests.services import mlflow_server, postgres, require_mlflow
from tests.tracking.view import MLFLOW_RUNS, RUNS, content, small_suite, track


def test_a_server_that_stands_on_postgres(desk):
    require_mlflow()
    store = small_suite(desk)
    with postgres() as database:
        assert "created by the first run" in check_tracking(database)
        assert track(store, database).added == RUNS
        before = told(database)
        assert len(before) == MLFLOW_RUNS
        with mlflow_server(desk, database) as (uri, _):
            assert track(store, uri).kept == RUNS
            assert told(uri) == before
    track(store)
    local = content(desk).values()
    assert before == {
        name: (status, {key: points[-1][1] for key, points in metrics.items()}, params)
        for name, status, _, _, params, metrics, _ in local
    }


def told(uri):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("phantom_small")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return {run.info.run_name: (run.info.status, run.data.metrics, run.data.params) for run in found}
