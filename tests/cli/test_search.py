from pathlib import Path

import pytest

from harness.records.suite_folder import SuiteFolder
from tests.cli.conftest import FinishedRun, run_once
from tests.cli.ground import snapshot, write_suite
from tests.support import call_cli, run_cli

SEARCH = """\
search:
  trials: 2
  budget: {steps: 2}
  labelled: 2
  subset: 1
  seed: 10
  validations: 1
"""
TRIALS = ["supervised/trial/0/0", "ua_mt/trial/0/0", "ua_mt/trial/0/1"]
FINALS = ["supervised/2/0/0", "ua_mt/2/0/0"]


def searched_suite(folder: Path) -> Path:
    path = write_suite(folder)
    path.write_text(path.read_text() + SEARCH)
    return path


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, session_cache: Path) -> FinishedRun:
    return run_once(tmp_path_factory, session_cache, "searched", searched_suite, "--no-track")


def test_run_searches_chooses_and_then_runs_the_finals(searched: FinishedRun):
    assert searched.code == 0, searched.stderr
    said = searched.stderr.splitlines()
    (search,) = [number for number, line in enumerate(said) if "headline search, 3 trials, 0 done, 3 to run" in line]
    chosen = [number for number, line in enumerate(said) if line.startswith("chosen: ")]
    (finals,) = [number for number, line in enumerate(said) if "2 runs, 0 done, 2 to run, each 4 steps" in line]
    assert search < chosen[0] < chosen[1] < finals
    assert "tiny: " in searched.stdout
    assert {path.name for path in (searched.runs / "tiny").iterdir()} >= {"trials.json", "selection.json"}
    runs = SuiteFolder(searched.runs / "tiny").folders()
    assert sorted((one.run.role, (one.path / "cases.parquet").exists()) for one in runs) == [
        ("final", True), ("final", True), ("search", False), ("search", False), ("search", False),
    ]  # fmt: skip


def test_status_shows_trials_and_finals(searched: FinishedRun):
    done = call_cli("status", searched.runs / "tiny", code=0)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        *((name, "done", "2") for name in TRIALS),
        *((name, "done", "4") for name in FINALS),
    ]
    assert "tiny: 5 runs, 5 done" in done.stderr


def test_plan_shows_what_is_done_of_the_search_and_of_the_finals(searched: FinishedRun, tmp_path: Path):
    done = call_cli("plan", "--suite", searched.suite, "--runs", searched.runs, cwd=tmp_path, code=0)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[1][:9] == ["supervised", "(search)", "2", "1", "10", "1", "1", "2", "steps"]
    assert rows[2][:9] == ["ua_mt", "(search)", "2", "1", "10", "2", "2", "2", "steps"]
    assert rows[4][:9] == ["ua_mt", "(final)", "2", "0", "0", "1", "1", "4", "steps"]
    assert rows[5][:3] == ["all", "5", "5"]
    assert "none, everything is done" in done.stderr


def test_plan_names_the_same_trials_in_every_process_and_writes_nothing(searched: FinishedRun, tmp_path: Path):
    """Whatever the process's own hashes; finals have no id before the search is over."""
    suite = searched_suite(tmp_path)
    before = snapshot(tmp_path)
    shown = [
        run_cli("plan", "--suite", suite, "--list", cwd=tmp_path, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2")
    ]
    assert shown[0].stdout == shown[1].stdout
    assert snapshot(tmp_path) == before
    rows = [line.split() for line in shown[0].stdout.splitlines()[1:]]
    recorded = {folder.id[:10] for folder in SuiteFolder(searched.runs / "tiny").folders()}
    assert [row[0] for row in rows] == TRIALS + FINALS
    assert {row[1] for row in rows[:3]} <= recorded
    assert [row[1:] for row in rows[3:]] == [["to", "run", "4", "steps"]] * 2


def test_train_runs_a_trial_by_name_and_no_final_before_the_selection(searched: FinishedRun, tmp_path: Path):
    suite = searched_suite(tmp_path)
    arguments = ("--suite", suite, "--runs", tmp_path / "runs")
    early = call_cli("train", FINALS[1], *arguments, code=64)
    assert "'ua_mt/2/0/0' names 0 runs of this suite; use an id or a name such as supervised/trial/0/0" in early.stderr
    ran = call_cli("train", TRIALS[2], *arguments, code=0)
    assert f"{TRIALS[2]}: ok" in ran.stderr, "by the name that was typed"
    (folder,) = [one for one in SuiteFolder(tmp_path / "runs" / "tiny").folders() if one.done]
    same = SuiteFolder(searched.runs / "tiny").by_id(folder.id).result()
    result = folder.require_result()
    assert same is not None
    assert result.weights_sha256 == same.weights_sha256
