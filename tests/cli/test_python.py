import pandas as pd
import pytest

import harness
from tests.cli.ground import SUPERVISED, UA_MT, snapshot, write_suite
from tests.support import REPO, run_python


@pytest.fixture(autouse=True)
def cache(session_cache, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(session_cache))
    monkeypatch.delenv("HARNESS_DATA", raising=False)


def run_example(name, *args, cwd):
    return run_python(REPO / "examples" / name, *args, cwd=cwd, code=0).stdout


def test_a_suite_is_planned_run_and_loaded(tmp_path):
    suite, runs = write_suite(tmp_path), tmp_path / "runs"
    before = snapshot(tmp_path)
    dry_run = harness.plan_suite(suite, runs=runs)
    assert [dry_run.state(run) for run in dry_run.plan.trainings()] == ["to run", "to run"]
    assert snapshot(tmp_path) == before

    leaderboard = harness.run_suite(suite, runs=runs, executor="inline", track=False)
    results = leaderboard.results.query("checkpoint == 'last'")
    assert sorted(results["entry"]) == ["supervised", "ua_mt"]
    assert results["n_ok"].tolist() == results["n_runs"].tolist() == [1, 1]
    assert results["dice"].between(0, 1).all()
    assert (runs / "tiny" / "leaderboard" / "index.html").is_file()

    dry_run = harness.plan_suite(suite, runs=runs)
    assert [run.name for run in dry_run.plan.trainings() if dry_run.state(run) == "done"] == [SUPERVISED, UA_MT]
    pd.testing.assert_frame_equal(harness.load_leaderboard(runs / "tiny").results, leaderboard.results)


def test_the_examples_print_tables(finished, records):
    shown = run_example("run_demo.py", finished.suite, cwd=records.parent).splitlines()
    assert shown[0].split()[:4] == ["labelled", "entry", "rank", "dice"]
    assert {line.split()[1] for line in shown[1:]} == {"supervised", "ua_mt"}

    before = snapshot(records)
    worst = run_example("read_records.py", records / "tiny", cwd=records.parent).splitlines()
    assert worst[0].split() == ["cell", "patient", "dice"]
    assert {line.split()[0] for line in worst[1:]} == {"supervised@2", "ua_mt@2"}
    assert snapshot(records) == before
