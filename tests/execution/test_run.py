import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.api import errors
from harness.api.errors import UsageError
from harness.data.cache import Cache
from harness.execution.inline import run_inline
from harness.execution.outcome import Outcome, settle
from harness.execution.process import make_order, run_process, stop_on_this_host
from harness.execution.run import ExecuteSettings, execute, exit_code
from harness.train.run import RunSettings, train_run
from harness.train.stop import StopFlag
from tests.records.processes import forked
from tests.records.test_ledger import line
from tests.support import LIMIT_SECONDS, command_environment
from tests.train.tiny import StopAfter

INLINE = ExecuteSettings(executor="inline")


@pytest.fixture
def short(make_tiny):
    return make_tiny({"tiny_short": {}}, budget={"steps": 4}).session()


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def test_inline_runs_what_is_left_in_the_plans_order(make_tiny):
    session = make_tiny({"tiny_short": {}, "tiny_ceiling": {}}, budget={"steps": 4}, seeds=[0, 1]).session()
    assert session.pending() == list(session.plan.runs)
    first = session.plan.runs[2]
    list(run_inline(session, [first], RunSettings(checkpoint_seconds=1000.0)))
    assert session.pending() == [run for run in session.plan.runs if run != first]
    outcomes = execute(session, INLINE, StopFlag())
    assert [outcome.run for outcome in outcomes] == [run.id for run in session.plan.runs if run != first]
    assert set(statuses(outcomes)) == {"ok"}
    assert session.pending() == []
    assert execute(session, INLINE, StopFlag()) == []
    assert exit_code([], session) == 0


def test_an_executor_that_runs_one_at_a_time_refuses_more():
    with pytest.raises(UsageError, match="leave it out, or --workers"):
        ExecuteSettings("inline", workers=2)


def test_a_failure_is_70_until_it_is_mended(make_tiny):
    session = make_tiny({"tiny_error": {}, "tiny_short": {}}, budget={"steps": 4}).session()
    outcomes = execute(session, INLINE, StopFlag())
    assert statuses(outcomes) == ["failed", "ok"]
    assert "wrong shape" in outcomes[0].message
    assert exit_code(outcomes, session) == 70
    assert execute(session, INLINE, StopFlag()) == []
    assert exit_code([], session) == 70, "it failed earlier, and the table still has that row"
    for folder in session.failed():
        folder.reopen()
    assert [run.method for run in session.pending()] == ["tiny_error"]


def test_what_killed_drivers_left_beside_the_runs_goes_at_the_next_start(make_tiny):
    tiny = make_tiny({"tiny_short": {}}, budget={"steps": 4})
    session = tiny.session()
    store, (run,) = session.store, session.plan.runs
    halves = [
        store.root / "runs" / run.id / f".{name}.0123abcd" for name in ("result.json", "ledger.jsonl", "weights.pt")
    ]
    for path in halves:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    execute(session, INLINE, StopFlag())
    assert not any(path.exists() for path in halves)
    leases = [store.search_lease, session.folder(run).lease]
    for lease in leases:
        forked(lease.claim).join()
    old, fresh = store.root / "suites" / ".a.yaml.0123abcd", store.root / ".selection.json.0123abcd"
    for path in (old, fresh):
        path.touch()
    os.utime(old, (0, 0))
    tiny.session()
    assert [path.exists() for path in (*(lease.path for lease in leases), old, fresh)] == [False, False, False, True]


def test_a_busy_run_is_75(make_tiny):
    session = make_tiny({"tiny_short": {}}, budget={"steps": 4}, seeds=[0, 1]).session()
    session.folder(session.plan.runs[0]).lease.claim()  # this process holds it, as another driver would
    (busy,) = run_inline(session, session.plan.runs[:1], RunSettings(wait_for_lease_seconds=0.0))
    assert busy.status == "busy"
    assert str(os.getpid()) in busy.message
    assert exit_code([busy], session) == 75


@pytest.mark.slow
def test_a_cache_that_is_no_cache_is_refused_and_no_row(short, tmp_path):
    order = make_order(short, short.plan.runs[0], 30.0)
    broken = tmp_path / "cache"
    shutil.copytree(short.cache.folder, broken)
    (broken / "manifest.json").write_text("{}")
    outcome = run_process(replace(order, cache=str(broken)))
    assert (outcome.status, outcome.exit_code) == ("refused", 65)
    assert str(broken) in outcome.message
    assert "Traceback" not in order.folder.log.read_text()
    assert not short.folder(short.plan.runs[0]).done


@pytest.mark.slow
def test_a_child_that_dies_leaves_no_lease(make_tiny, tmp_path):
    """On another node its lease would keep everybody away for two minutes."""
    session = make_tiny(
        {"tiny_mortal": {"die_before_step": 2, "deaths": 1, "tally": str(tmp_path / "tally")}}
    ).session()
    (run,) = session.plan.runs
    outcome = run_process(make_order(session, run, 30.0))
    assert (outcome.status, outcome.exit_code) == ("killed", 9)
    assert not session.folder(run).lease.path.exists()


def test_a_case_that_was_damaged_since_is_a_failure_of_kind_data(short, tmp_path):
    """Those of an earlier run lie preprocessed beside them, and are another matter."""
    broken = tmp_path / "cache"
    shutil.copytree(short.cache.folder, broken, ignore=shutil.ignore_patterns("*.pt"))
    (broken / "development.h5").write_bytes(b"rubbish")
    on_broken_data = replace(short, cache=Cache.open(broken))
    (outcome,) = run_inline(on_broken_data, short.plan.runs[:1], RunSettings())
    assert outcome.status == "failed"
    result = short.folder(short.plan.runs[0]).require_result()
    assert result.failure.kind == "data"
    assert "development.h5" in result.failure.reason


def test_a_run_that_was_killed_too_often_becomes_a_row(short):
    (run,) = short.plan.runs
    folder = short.folder(run)
    for attempt, (base, steps) in enumerate(((0, 3), (2, 1))):
        for kind, done in (("start", 0), ("heartbeat", steps)):
            folder.ledger.append(line(kind, attempt, (done / 4, done), (base / 4, base)))
    killed = Outcome(run.id, "killed", "", 9)
    first = settle(short.folder(run), killed, StopFlag(), elsewhere=True)
    assert (first.status, first.exit_code, folder.done) == ("killed", 71, False), "another node is to try"
    outcome = settle(short.folder(run), killed, StopFlag(), elsewhere=True)
    assert outcome.status == "failed"
    result = folder.require_result()
    assert result.failure.kind == "killed"
    assert f"(signal 9), after it died on {socket.gethostname()} (signal 9)" in result.failure.reason
    assert result.environment == "e" * 64
    assert (result.spent.useful_steps, result.spent.lost_steps) == (3, 1)
    passed = Outcome(run.id, "interrupted", "x", 75)
    assert settle(short.folder(run), passed, StopFlag()) == passed
    folder.reopen()
    folder.ledger.append(line("start", 2, (0.0, 0), (0.5, 2)))
    retried = settle(short.folder(run), killed, StopFlag(), elsewhere=True)
    assert (retried.status, folder.done) == ("killed", False), "what happened before a retry does not count"


def test_a_run_that_was_not_killed_itself_goes_on(short):
    """The worker that waited for it died, for whatever reason; or it left and was killed before it had exited."""
    (run,) = short.plan.runs
    outcome = settle(short.folder(run), Outcome(run.id, "killed", "its worker died"), StopFlag())
    assert outcome == Outcome(run.id, "interrupted", "its worker died", 75)
    with pytest.raises(errors.InterruptedRunError):
        train_run(short.folder(run), short.cache, short.store.selection_path, RunSettings(stop=StopAfter(2)))
    outcome = settle(short.folder(run), Outcome(run.id, "killed", "", 9), StopFlag())
    assert (outcome.status, outcome.exit_code) == ("interrupted", 75)
    assert "died (signal 9)" in outcome.message, "it may not even have begun since"
    assert not short.folder(run).done


def test_nobody_is_killed_once_a_stop_was_asked_for(make_tiny):
    session, stop = make_tiny({"tiny_short": {}}, budget={"steps": 4}).session(), StopFlag()
    (run,) = session.plan.runs
    stop.set("SIGTERM")
    killed, failed = Outcome(run.id, "killed", "", 15), Outcome(run.id, "failed", "", 70)
    assert settle(session.folder(run), killed, stop) == Outcome(run.id, "interrupted", "SIGTERM", 75)
    assert settle(session.folder(run), failed, stop) == failed
    assert not session.folder(run).done


@pytest.mark.parametrize("ours", [True, False], ids=["our child", "somebody else's"])
def test_a_stop_is_forwarded_to_our_children_alone(ours, make_tiny):
    session = make_tiny({"tiny_short": {}}, budget={"steps": 4}, seeds=[0, 1]).session()
    held, free = session.plan.runs
    script = f"""
import signal, sys, time
from pathlib import Path
from harness.records.lease import Lease
Lease(Path({str(session.folder(held).lease.path)!r})).claim()
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("ready", flush=True)
time.sleep(600)
"""
    environment = command_environment({"HARNESS_DRIVER": str(os.getpid() if ours else 1)})
    child = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    folders = [str(session.folder(run).path) for run in (held, free)]
    assert stop_on_this_host(folders, os.getpid(), None) == ours
    if ours:
        assert child.wait(LIMIT_SECONDS) == 75
        assert stop_on_this_host(folders, os.getpid(), None) == 0  # it is gone: nobody is hit
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        child.kill()
        child.wait()


def test_runs_are_found_by_planned_run_id_and_beginning(make_tiny):
    session = make_tiny({"tiny_short": {}, "tiny_ceiling": {}}, seeds=[0, 1]).session()
    run = session.find("tiny_short/2/0/1")
    assert (run.method, run.labelled, run.seed) == ("tiny_short", 2, 1)
    assert session.find("tiny_ceiling/all/0/0").labelled is None
    assert session.find(run.id) == session.find(run.id[:12]) == run
    for name in ("", "tiny_short/3/0/0", "zzz"):
        with pytest.raises(UsageError, match="tiny_ceiling/all/0/0"):
            session.find(name)
