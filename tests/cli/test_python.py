"""The front door from Python: the functions of `harness`, and the scripts in examples/."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import harness
from harness.pipeline import UnfinishedSuiteError
from harness.train.stop import StopFlag
from tests.cli.conftest import FinishedRun
from tests.cli.ground import SUPERVISED, UA_MT, snapshot, write_suite
from tests.slurm.submissions import path_with, stand_in, write_cluster
from tests.support import REPO, command_environment

CLUSTER = "time: 5\nmemory: 500M\nrun_time: 2\nfinish: {memory: 500M, time: 5}\n"


@pytest.fixture(autouse=True)
def cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated data are prepared once for all tests."""
    monkeypatch.setenv("HARNESS_CACHE", str(session_cache))
    monkeypatch.delenv("HARNESS_DATA", raising=False)


def run_example(name: str, *args: str | Path, cwd: Path) -> str:
    """Standard output of a script of examples/."""
    command = [sys.executable, str(REPO / "examples" / name), *map(str, args)]
    done = subprocess.run(command, cwd=cwd, env=command_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_suite_is_planned_run_and_loaded(tmp_path: Path):
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


def test_a_signal_leaves_no_time_for_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(StopFlag, "is_set", lambda _: True)  # as after a signal before the first run
    with pytest.raises(UnfinishedSuiteError, match="some runs are unfinished") as caught:
        harness.run_suite(write_suite(tmp_path), runs=tmp_path / "runs", executor="inline", track=False)
    assert caught.value.leaderboard is None
    assert not (tmp_path / "runs" / "tiny" / "leaderboard").exists()


def test_a_suite_is_submitted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commands, sent, queue = tmp_path / "commands", tmp_path / "sent", tmp_path / "queue"
    stand_in(commands, "sbatch", f'echo "$@" >> {sent}; wc -l < {sent}')
    stand_in(commands, "squeue", f"cat {queue} 2>/dev/null || true")
    stand_in(commands, "scontrol", "true")
    stand_in(commands, "sacct", "true")
    monkeypatch.setenv("PATH", path_with(commands))
    suite, cluster, runs = write_suite(tmp_path), write_cluster(tmp_path, CLUSTER), tmp_path / "runs"

    submission = harness.submit_suite(suite, cluster=cluster, runs=runs)
    assert (submission.queued, submission.missing, submission.over) == (2, 0, False)
    calls = sent.read_text().splitlines()
    assert len(calls) == 2, "an array of tasks, and the job that depends on it"

    names = [call.split("--job-name=")[1].split()[0] for call in calls if "--job-name=" in call]
    assert names == [] or names[0].startswith("tiny")
    array = next((runs / "tiny" / "slurm").glob("*tasks*.json")).stem
    queue.write_text(f"{array}|0|90|1|RUNNING|n1|None|\n{array}|1|91|1|PENDING||Resources|\n")
    again = harness.submit_suite(suite, cluster=cluster, runs=runs)
    assert (again.queued, again.over) == (2, False)


def test_the_examples_print_tables(finished: FinishedRun, records: Path):
    shown = run_example("run_demo.py", finished.suite, cwd=records.parent).splitlines()
    assert shown[0].split()[:4] == ["labelled", "entry", "rank", "dice"]
    assert {line.split()[1] for line in shown[1:]} == {"supervised", "ua_mt"}

    before = snapshot(records)
    worst = run_example("read_records.py", records / "tiny", cwd=records.parent).splitlines()
    assert worst[0].split() == ["cell", "patient", "dice"]
    assert {line.split()[0] for line in worst[1:]} == {"supervised@2", "ua_mt@2"}
    assert snapshot(records) == before
