import os
import signal
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from harness.records.suite_folder import SuiteFolder
from tests.support import LIMIT_SECONDS, stat_of, wait_until
from tests.train.test_run import assert_same_numbers
from tests.train.tiny import processes_with, train, with_deaths

RAY = ("--executor", "ray", "--workers", "2", "--no-track", "--checkpoint-seconds", "0.3")

STEPS = 150


pytestmark = pytest.mark.usefixtures("_ray")


def descendants(pid):
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = stat_of(path.name)
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[int(path.name)] = int(fields[1])
    found: set[int] = set()
    border = {pid}
    while border:
        border = {child for child, parent in parents.items() if parent in border} - found
        found |= border
    return found


def terminate_group(leader):
    for pid in descendants(leader) | {leader}:
        with suppress(ProcessLookupError):
            if os.getpgid(pid) == os.getpgid(leader):
                os.kill(pid, signal.SIGTERM)


def alive(pids):
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def training(tiny):
    held = [folder for folder in SuiteFolder(tiny.store).folders() if folder.lease.held()]
    return len([folder for folder in held if folder.ledger.spent().useful_steps]) == 2


def test_six_runs_at_once_with_deaths_and_failures_among_them(make_tiny, tmp_path):
    suite = make_tiny({**with_deaths(tmp_path), "tiny_nan": {}, "tiny_ceiling": {}})
    process = suite.start("run", *RAY)
    seen = set()
    while process.poll() is None:
        seen |= descendants(process.pid)
        time.sleep(0.2)
    assert process.returncode == 70, suite.output
    assert "Traceback" not in suite.output
    kinds = {}
    for folder in SuiteFolder.open(suite.store).folders():
        result = folder.require_result()
        kinds[folder.run.method] = result.failure.kind if result.failure else "ok"
    assert kinds == {
        "tiny_staged": "ok",
        "tiny_mortal": "ok",
        "tiny_doomed": "killed",
        "tiny_error": "error",
        "tiny_nan": "nan",
        "tiny_ceiling": "ok",
    }
    assert len((tmp_path / "doomed").read_text()) == 2, "killed twice, and not started again"
    spent = suite.folder("tiny_doomed/2/0/0").ledger.spent()
    assert spent.attempts == 2
    assert suite.folder("tiny_mortal/2/0/0").ledger.spent().attempts == 2

    inline = make_tiny({"tiny_staged": {}, "tiny_ceiling": {}})
    for planned_run in ("tiny_staged/2/0/0", "tiny_ceiling/all/0/0"):
        train(inline, planned_run)
        assert_same_numbers(suite.folder(planned_run), inline.folder(planned_run))
    assert_same_numbers(suite.folder("tiny_mortal/2/0/0"), inline.folder("tiny_staged/2/0/0"))

    assert not processes_with(str(suite.root))
    wait_until(lambda: not alive(seen), "all its processes have ended")


def test_a_driver_that_is_stopped_and_killed_and_started_again(make_tiny, tmp_path, monkeypatch):
    slow = tmp_path / "slow"
    slow.touch()
    short = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need a short path
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    tiny = make_tiny({"tiny_staged": {"slow_file": str(slow)}}, budget={"steps": STEPS}, seeds=[0, 1])

    process = tiny.start("run", *RAY)
    wait_until(lambda: list(short.iterdir()), "its Ray starts", process=process)
    terminate_group(process.pid)
    assert process.wait(LIMIT_SECONDS) == 75, tiny.output

    process = tiny.start("run", *RAY)
    wait_until(lambda: training(tiny), "both runs train", process=process)
    children = descendants(process.pid)
    assert [stat.S_IMODE(path.stat().st_mode) for path in short.iterdir()] == [0o700]
    terminate_group(process.pid)
    wait_until(lambda: not [f for f in SuiteFolder(tiny.store).folders() if f.lease.path.exists()], "no lease is left")
    assert process.wait(LIMIT_SECONDS) == 75, tiny.output
    wait_until(lambda: not alive(children), "all its processes have ended")
    first = [folder.ledger.spent() for folder in SuiteFolder(tiny.store).folders()]
    assert all(0 < spent.useful_steps < STEPS and spent.lost_steps == 0 for spent in first)

    process = tiny.start("run", *RAY)
    wait_until(lambda: training(tiny), "both runs train", process=process)
    assert len(set(processes_with("log.txt")) & descendants(process.pid)) == 2
    process.kill()
    process.wait()
    # Ray's own agents take a minute longer to notice; they hold nothing of ours
    wait_until(lambda: not processes_with(str(tiny.root)), "all its processes have ended")
    second = [folder.ledger.spent() for folder in SuiteFolder(tiny.store).folders()]
    assert all(after.useful_steps >= before.useful_steps for before, after in zip(first, second, strict=True))

    slow.unlink()
    process = tiny.start("run", *RAY)
    assert process.wait(LIMIT_SECONDS) == 0, tiny.output
    assert "Traceback" not in tiny.output
    short.rmdir()  # the folder that the killed driver left is gone too
    inline = make_tiny({"tiny_staged": {}}, budget={"steps": STEPS}, seeds=[0, 1])
    for seed in (0, 1):
        planned_run = f"tiny_staged/2/0/{seed}"
        train(inline, planned_run)
        assert_same_numbers(tiny.folder(planned_run), inline.folder(planned_run))
        spent = tiny.folder(planned_run).ledger.spent()
        assert spent.useful_steps == STEPS
        assert spent.attempts in {2, 3}  # 2: the second driver was killed before this run had started
