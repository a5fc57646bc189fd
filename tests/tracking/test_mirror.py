import shutil
import subprocess
import sys

import pytest

from tests.support import LIMIT_SECONDS, cases_of, command_environment
from tests.synthetic import edit_record
from tests.tracking.view import MLFLOW_RUNS, RUNS, SMALL, by_key, client, content, runs, small_suite, track


def test_one_experiment_with_suite_methods_and_runs_nested(desk):
    store = small_suite(desk)
    report = track(store)
    assert (report.experiment, report.added, report.replaced, report.kept) == ("phantom_small", RUNS, 0, 0)
    assert report.uri == f"sqlite:///{desk}/mlflow.db"
    found = runs(desk)
    parents = {run_id: run for run_id, run in found.items() if "harness.method" in run.tags}
    children = [run for run in found.values() if "harness.run" in run.tags]
    suites = [run_id for run_id, run in found.items() if "harness.suite" in run.tags]
    assert [found[run_id].name for run_id in suites] == ["phantom_small"]
    assert "mlflow.parentRunId" not in found[suites[0]].tags
    assert {run.tags["mlflow.parentRunId"] for run in parents.values()} == set(suites)
    assert sorted(run.name for run in parents.values()) == sorted(SMALL.methods)
    assert {run.tags["harness.run"] for run in children} == {folder.id for folder in store.folders()}
    for run in children:
        parent = parents[run.tags["mlflow.parentRunId"]]
        assert parent.name == run.tags["method"]
        assert run.status == ("FAILED" if run.tags["status"] == "failed" else "FINISHED")
    assert [run.tags["failure.kind"] for run in children if run.status == "FAILED"] == ["nan"]


def test_mlflow_gives_the_numbers_of_the_records(desk):
    store = small_suite(desk)
    experiment = track(store).experiment_id
    mlflow = client(desk)
    best = mlflow.search_runs([experiment], "tags.method = 'supervised' and params.seed = '1' and tags.role = 'final'")
    assert len(best) == 1
    folder = next(f for f in store.folders() if f.id == best[0].data.tags["harness.run"])
    frame = cases_of(folder)
    for selection in ("last", "best_val"):
        rows = frame[(frame["checkpoint"] == selection) & (frame["class_name"] == "RV")]
        assert best[0].data.metrics[f"test/{selection}/hd95_voxel/RV"] == pytest.approx(rows["hd95_voxel"].mean())
    history = mlflow.get_metric_history(best[0].info.run_id, "train/loss")
    expected = folder.history()
    assert [point.step for point in history] == expected["step"].tolist()
    assert [point.value for point in history] == pytest.approx(expected["loss"].tolist())


def test_runs_that_finish_one_by_one_end_as_all_at_once(desk, empty_database):
    store = small_suite(desk)
    results = [folder.path / "result.json" for folder in store.folders()]
    hidden = [path.rename(path.with_name("later.json")) for path in results[1:]]
    assert track(store).added == 1
    for path in hidden[:3]:
        path.rename(path.with_name("result.json"))
    report = track(store)
    assert (report.added, report.replaced, report.kept) == (3, 0, 1)
    for path in hidden[3:]:
        path.rename(path.with_name("result.json"))
    assert track(store).kept == 4
    assert content(desk) == rebuilt(store, desk, empty_database)


def rebuilt(store, desk, empty_database=None):
    path = desk / "fresh" / "mlflow.db"
    if empty_database is not None:
        path.parent.mkdir()
        shutil.copy(empty_database, path)
    assert track(store, f"sqlite:///{path}").added == RUNS
    return content(path.parent)


def test_a_run_that_ran_again_replaces_its_run(desk):
    store = small_suite(desk)
    track(store)
    folder = next(f for f in store.folders() if (result := f.result()) is not None and result.status == "failed")
    result = folder.require_result()
    folder.write_result(result.model_copy(update={"failure": None, "status": "failed", "peak_memory_bytes": 7}))
    report = track(store)
    assert (report.added, report.replaced, report.kept) == (0, 1, RUNS - 1)
    run = by_key(desk)[folder.id]
    assert run.last("peak_memory_bytes") == 7
    assert "failure.kind" not in run.tags
    assert len(runs(desk)) == MLFLOW_RUNS


def test_an_entry_of_another_name_takes_its_runs_along(desk, empty_database):
    store = small_suite(desk)
    track(store)

    def rename(selection):
        for entry in selection["entries"]:
            if entry["planned_run"]["entry"] == "ua_mt":
                entry["planned_run"]["entry"] = "renamed"

    edit_record(store.selection_path, rename)
    report = track(store)
    assert (report.added, report.replaced, report.kept) == (0, 2, RUNS - 2)
    assert content(desk) == rebuilt(store, desk, empty_database)


KILLED = """
import os, signal, sqlite3, sys, threading, time
from pathlib import Path
from harness.records.reader import SuiteRecords
from harness.tracking import track

def kill_at(count):
    connection = sqlite3.connect("mlflow.db", timeout=60)
    while connection.execute("SELECT count(*) FROM runs").fetchone()[0] < count:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=kill_at, args=(int(sys.argv[2]),), daemon=True).start()
track(SuiteRecords.open(Path(sys.argv[1])))
"""


def test_killed_in_the_middle_it_goes_on_without_a_duplicate(desk, empty_database):
    store = small_suite(desk)
    for count in (2, 5):  # runs in the database when the process is killed
        command = [sys.executable, "-c", KILLED, str(store.root), str(count)]
        killed = subprocess.run(command, cwd=desk, env=command_environment(), timeout=LIMIT_SECONDS, check=False)
        assert killed.returncode == -9
        assert len(runs(desk)) >= count - 1
    track(store)
    assert len(by_key(desk)) == MLFLOW_RUNS
    assert all(run.status != "RUNNING" for run in by_key(desk).values())
    assert content(desk) == rebuilt(store, desk, empty_database)
    for folder in (desk, empty_database.parent):
        assert {path.name for path in folder.glob("*mlflow.db*")} == {"mlflow.db"}, "no journal, lease or half is left"
