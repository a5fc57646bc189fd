from dataclasses import replace

import pytest

from harness.api.errors import ServiceError
from tests.synthetic import key
from tests.tracking.view import MLFLOW_RUNS, RUNS, SMALL, Run, client, runs, small_suite, track


def of_origin(desk):
    found: dict[str, dict[str, Run]] = {}
    for run_id, run in runs(desk).items():
        found.setdefault(run.tags["harness.origin"], {})[run_id] = run
    return found


def bens_suite(desk):
    other = SMALL.environment.model_copy(update={"device_model": "Ben's"})
    return small_suite(desk / "ben", replace(SMALL, environments={key(run): other for run in SMALL.planned_runs}))


def test_neither_replaces_what_the_other_tracked(desk):
    ann, ben = small_suite(desk / "ann"), bens_suite(desk)
    assert {folder.id for folder in ann.folders()} == {folder.id for folder in ben.folders()}
    assert track(ann).added == track(ben).added == RUNS
    before = of_origin(desk)
    assert [len(found) for found in before.values()] == [MLFLOW_RUNS, MLFLOW_RUNS]
    assert track(ann).kept == track(ben).kept == RUNS
    assert of_origin(desk) == before
    for found in before.values():  # each nests among its own
        assert {run.tags["mlflow.parentRunId"] for run in found.values() if "harness.suite" not in run.tags} <= set(
            found
        )


@pytest.mark.parametrize(("schema", "writer"), [(None, "harness 0.1.0"), ("99", "a harness of schema 99")])
def test_runs_of_another_version_are_refused_and_stay(desk, schema, writer):
    store = small_suite(desk)
    track(store)
    mlflow = client(desk)
    for run_id in runs(desk):
        mlflow.delete_tag(run_id, "harness.schema")
        if schema is not None:
            mlflow.set_tag(run_id, "harness.schema", schema)
    before = runs(desk)
    with pytest.raises(ServiceError, match=writer) as caught:
        track(store)
    assert "The records are safe" in str(caught.value)
    assert runs(desk) == before
