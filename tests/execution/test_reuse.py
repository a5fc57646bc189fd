import shutil
import subprocess
from pathlib import Path

import pytest

from harness.api.errors import RecordError, UsageError
from harness.execution.run import ExecuteSettings, execute
from harness.execution.session import count_elsewhere, reuse
from harness.train.stop import StopFlag
from tests.support import command_environment, environment_of
from tests.synthetic import board_of
from tests.train.fixtures import MakeTiny
from tests.train.tiny import Tiny

BUDGET = {"steps": 4}


@pytest.fixture(scope="module")
def source(make_tiny: MakeTiny) -> Tiny:
    tiny = make_tiny({"tiny_short": {}, "tiny_error": {}}, budget=BUDGET)
    execute(tiny.session(), ExecuteSettings("inline"), StopFlag())
    return tiny


@pytest.fixture
def target(make_tiny: MakeTiny) -> Tiny:
    return make_tiny({"tiny_error": {}, "tiny_short": {}, "tiny_ceiling": {}}, budget=BUDGET, name="other")


def test_what_both_suites_name_is_not_trained_again(source: Tiny, target: Tiny):
    session = target.session()
    taken = reuse(session, source.store)
    assert [run.method for run in taken] == ["tiny_short"], "a failure is tried again"
    mine, theirs = session.folder(taken[0]), source.folder("tiny_short/2/0/0")
    for name in ("result.json", "ledger.jsonl", "cases.parquet", "history.parquet", "predictions.npz", "final.json"):
        assert (mine.path / name).read_bytes() == (theirs.path / name).read_bytes()
    assert environment_of(mine) == environment_of(theirs)
    assert not mine.checkpoint.exists()
    assert not (mine.path / "lease").exists()
    assert reuse(session, source.store) == [], "once"
    assert [run.method for run in session.pending()] == ["tiny_ceiling", "tiny_error"]


@pytest.mark.slow
def test_the_same_on_the_command_line(source: Tiny, target: Tiny):
    arguments = target.arguments("run", "--executor", "inline", "--no-track", "--reuse", str(source.store))
    environment = command_environment(target.environment)
    done = subprocess.run(arguments, env=environment, cwd=target.root, capture_output=True, text=True, check=False)
    assert done.returncode == 70, done.stderr
    assert f"{source.store}: 1 runs taken over" in done.stdout + done.stderr
    board = board_of(target.session().store)
    assert board.results.query("checkpoint == 'last'").set_index("entry")["n_ok"].to_dict() == {
        "tiny_short": 1,
        "tiny_ceiling": 1,
        "tiny_error": 0,
    }


def test_runs_of_another_host_are_counted(source: Tiny, make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch):
    session = source.session()
    ended = [run for run in session.plan.runs if run.method == "tiny_short"]
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    assert count_elsewhere(session, ended) == 0, "a budget in steps buys as many anywhere"
    timed = make_tiny({"tiny_short": {}}, budget={"device_seconds": 0.2}).session()
    monkeypatch.undo()
    execute(timed, ExecuteSettings("inline"), StopFlag())
    assert count_elsewhere(timed, timed.plan.runs) == 0
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    assert count_elsewhere(timed, timed.plan.runs) == 1


def test_what_was_begun_here_or_is_held_is_left_alone(source: Tiny, target: Tiny):
    session = target.session()
    folder = session.folder(session.find("tiny_short/2/0/0"))
    lease = folder.lease
    lease.claim()
    assert reuse(session, source.store) == []
    lease.release()
    folder.ledger.append(source.folder("tiny_short/2/0/0").ledger.lines()[0])
    begun = folder.ledger.path.read_text()
    assert reuse(session, source.store) == []
    assert (folder.path / "ledger.jsonl").read_text() == begun
    (folder.path / "ledger.jsonl").unlink()
    assert [run.method for run in reuse(session, source.store)] == ["tiny_short"]


def test_a_damaged_run_is_refused_and_not_copied(source: Tiny, target: Tiny, tmp_path: Path):
    shutil.copytree(source.store, tmp_path / "damaged")
    session = target.session()
    run = session.find("tiny_short/2/0/0")
    (tmp_path / "damaged" / "runs" / run.id / "cases.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"cases\.parquet: its checksum is not the one in result\.json"):
        reuse(session, tmp_path / "damaged")
    assert not session.folder(run).done


def test_a_folder_without_records_says_so(target: Tiny, tmp_path: Path):
    with pytest.raises(UsageError, match="no records here"):
        reuse(target.session(), tmp_path)
