import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from harness.execution.fork_server import ForkServer
from harness.execution.memory import NO_MEMORY
from harness.execution.outcome import settle
from harness.execution.process import RunProcess, make_order
from harness.execution.process_pool import ProcessPool, pool_devices
from harness.train.stop import StopFlag
from tests.train.test_run import assert_same_numbers
from tests.train.tiny import train, with_deaths

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    with ForkServer() as server:
        yield server


def pool_of(session, stop, seen, server):
    def tick(running):
        seen.update(run.id for run in running)

    return ProcessPool(session, [None, None], 0.3, stop, tick, server.start)


def test_runs_side_by_side_with_a_death_among_them(make_tiny, tmp_path, server):
    tiny = make_tiny(with_deaths(tmp_path))
    session, seen = tiny.session(), set[str]()
    outcomes = {outcome.run: outcome for outcome in pool_of(session, StopFlag(), seen, server).run(session.pending())}
    by_method = {run.method: outcomes[run.id] for run in session.plan.runs}
    assert {method: outcome.status for method, outcome in by_method.items()} == {
        "tiny_staged": "ok",
        "tiny_mortal": "ok",
        "tiny_doomed": "failed",
        "tiny_error": "failed",
    }
    assert by_method["tiny_doomed"].message == "killed: its process died 2 times (signal 9)"
    assert len((tmp_path / "doomed").read_text()) == 2, "started twice, and no more"
    restarted = {run.id for run in session.plan.runs if run.method in ("tiny_mortal", "tiny_doomed")}
    assert restarted <= seen <= {run.id for run in session.plan.runs}, "a short run may end between two ticks"
    threads = [file.read_text().strip() for file in Path(f"/proc/{server.pid}/task").glob("*/comm")]
    assert len([name for name in threads if name != "jemalloc_bg_thd"]) == 1, (
        "only a process with a single thread may fork"
    )
    inline = make_tiny({"tiny_staged": {}})
    train(inline, "tiny_staged/2/0/0")
    for planned_run in ("tiny_staged/2/0/0", "tiny_mortal/2/0/0"):
        assert_same_numbers(tiny.folder(planned_run), inline.folder("tiny_staged/2/0/0"))


def test_a_stop_is_passed_on_and_starts_nothing_more(make_tiny, server):
    tiny = make_tiny({"tiny_staged": {"pause_seconds": 0.1}}, budget={"steps": 400}, seeds=[0, 1, 2])
    session, stop = tiny.session(), StopFlag()
    first, second, third = (session.folder(run) for run in session.plan.runs)

    def tick(_running):
        if first.ledger.spent().useful_steps and second.ledger.spent().useful_steps:
            stop.set("SIGTEST")

    outcomes = list(ProcessPool(session, [None, None], 1000.0, stop, tick, server.start).run(session.pending()))
    assert [outcome.status for outcome in outcomes] == ["interrupted"] * 2
    for folder in (first, second):
        assert folder.checkpoint.exists()
        assert folder.ledger.spent().lost_steps == 0
        assert not folder.lease.path.exists()
    assert not third.log.exists()


def test_runs_outlive_the_server_that_forked_them(make_tiny, server):
    tiny = make_tiny({"tiny_staged": {"pause_seconds": 0.1}}, budget={"steps": 80}, seeds=[0, 1])
    session = tiny.session()
    folders = [session.folder(run) for run in session.plan.runs]

    def tick(_running):
        if all(folder.ledger.spent().useful_steps for folder in folders):
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGKILL)

    pool = ProcessPool(session, [None, None], 0.3, StopFlag(), tick, server.start)
    assert [outcome.status for outcome in pool.run(session.pending())] == ["ok", "ok"]
    inline = make_tiny({"tiny_staged": {"pause_seconds": 0.0}}, budget={"steps": 80})
    train(inline, "tiny_staged/2/0/0")
    for folder in folders:
        spent = folder.ledger.spent()
        assert (spent.attempts, spent.useful_steps, spent.lost_steps) == (2, 80, 0)
        assert "the parent process is gone" in folder.log.read_text()
    first = folders[0].require_result().weights_sha256
    assert first == inline.folder("tiny_staged/2/0/0").require_result().weights_sha256


@pytest.mark.parametrize(
    ("visible", "size", "devices"),
    [
        *((nothing, 2, [None, None]) for nothing in ("", "NoDevFiles", "-1,0")),
        ("2, 5,7", 2, ["2", "5"]),
        ("3,-1,7", 3, ["3"]),
        ("GPU-8a,GPU-9b", 4, ["GPU-8a", "GPU-9b"]),
    ],
)
def test_runs_side_by_side_have_a_gpu_each(visible, size, devices, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert pool_devices(size) == devices


class Gone:
    """A process that SIGKILL has ended."""

    end = None

    def wait(self, timeout=None):
        return -signal.SIGKILL


@pytest.mark.parametrize(("kills", "told"), [((3, 4), NO_MEMORY), ((3, 3), "signal 9")])
def test_a_run_that_had_no_memory_is_told_apart(kills, told, make_tiny, monkeypatch):
    session = make_tiny({"tiny_short": {}}).session()
    (run,) = session.plan.runs
    counts = iter(kills)
    monkeypatch.setattr("harness.execution.process.count_memory_kills", lambda: next(counts))
    outcome = RunProcess(make_order(session, run, 1.0), lambda _order, _output: Gone()).wait()
    assert outcome is not None
    assert settle(session.folder(run), outcome, StopFlag()).status == "failed"
    result = session.folder(run).require_result()
    assert (result.failure.kind, told in result.failure.reason) == ("killed", True)
