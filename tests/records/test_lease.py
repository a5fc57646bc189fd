import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.api.errors import DiskError
from harness.records.lease import Lease, LeaseHeldError, LeaseLostError
from harness.records.owner import Owner
from tests.records.processes import FORK, forked, kill
from tests.support import LIMIT_SECONDS


def write_lease(path: Path, owner: Owner, age_seconds: float = 0.0) -> None:
    """A lease as `owner` left it, whose last heartbeat is `age_seconds` old."""
    aside = path.with_name(f"aside-{os.getpid()}")
    aside.write_text(owner.model_dump_json())
    then = time.time() - age_seconds
    os.utime(aside, (then, then))
    aside.replace(path)


def foreign(age_seconds: float, path: Path) -> Owner:
    owner = Owner(host="another-node", pid=os.getpid(), start_ticks=12345, job="77")
    write_lease(path, owner, age_seconds)
    return owner


def hold(path: Path, ready: Any) -> None:
    Lease(path).claim()
    ready.set()
    time.sleep(60)


def kill_later(pid: int) -> None:
    time.sleep(0.6)
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def holder(path: Path) -> Iterator[Any]:
    ready = FORK.Event()
    child = forked(hold, path, ready)
    assert ready.wait(LIMIT_SECONDS)
    yield child
    if child.is_alive():
        kill(child)


def test_claim_says_who_and_release_gives_it_back(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    monkeypatch.setenv("HARNESS_DRIVER", "123")
    lease = Lease(path)
    assert (lease.holder(), lease.held()) == (None, False)
    lease.claim()
    owner = lease.holder()
    assert owner is not None
    assert (owner.host, owner.pid) == (socket.gethostname(), os.getpid())
    assert (owner.driver, owner.job) == (123, "4711")
    assert Lease(path).held()
    with pytest.raises(LeaseHeldError, match=str(os.getpid())):
        Lease(path).claim()
    lease.release()
    assert list(tmp_path.iterdir()) == []
    Lease(path).claim()


def test_a_living_process_is_not_taken_over(holder: Any, path: Path):
    os.utime(path, (0, 0))  # on the same host silence means nothing: the process lives
    with pytest.raises(LeaseHeldError, match=f"pid {holder.pid} on {socket.gethostname()}"):
        Lease(path).claim()


def test_a_killed_process_is_taken_over_at_once(holder: Any, path: Path):
    kill(holder)
    lease = Lease(path)
    lease.claim()
    owner = lease.holder()
    assert owner is not None
    assert owner.pid == os.getpid()


def test_a_zombie_is_dead(path: Path):
    """Its parent has not waited for it yet, so its pid still exists."""
    pid = os.fork()
    if pid == 0:
        Lease(path).claim()
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        Lease(path).claim()
    finally:
        os.waitpid(pid, 0)


def test_patience_ends_when_the_holder_does(holder: Any, path: Path):
    with pytest.raises(LeaseHeldError):
        Lease(path).claim(patience_seconds=0.1)
    forked(kill_later, holder.pid)
    lease = Lease(path)
    before = time.monotonic()
    lease.claim(patience_seconds=LIMIT_SECONDS)
    assert time.monotonic() - before < LIMIT_SECONDS / 2


def test_a_pid_that_somebody_else_has_now_is_dead(path: Path):
    """Same host, same pid, other start time: the pid was given out again."""
    this = Owner.this()
    write_lease(path, this.model_copy(update={"start_ticks": this.start_ticks - 1}))
    assert not Lease(path).held()
    Lease(path).claim()


@pytest.mark.parametrize(("job", "restarts", "free"), [("77", 1, True), ("77", 0, False), ("78", 1, False)])
def test_an_earlier_life_of_the_same_job_is_over(
    job: str, restarts: int, free: bool, path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Slurm ends all of a job before it starts it again, on whatever nodes; of other jobs that is not known."""
    foreign(0, path)
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    assert Lease(path).held() != free
    if free:
        Lease(path).claim()
        holder = Lease(path).holder()
        assert holder is not None
        assert (holder.job, holder.restarts) == (job, restarts)


def test_a_heartbeat_ends_the_silence(path: Path):
    lease = Lease(path)
    lease.claim()
    os.utime(lease.path, (0, 0))
    lease.beat()
    assert time.time() - lease.path.stat().st_mtime < 30


def test_a_lease_that_is_not_ours_is_neither_given_back_nor_kept_alive(path: Path):
    lease = Lease(path)
    lease.claim()
    theirs = foreign(50, lease.path)  # we were silent too long, another host took over
    with pytest.raises(LeaseLostError, match="another-node"):
        lease.beat()
    assert time.time() - lease.path.stat().st_mtime > 40
    lease.release()
    assert lease.holder() == theirs


def test_one_who_never_claimed_changes_nothing(holder: Any, path: Path):
    before = path.stat().st_mtime_ns
    stranger = Lease(path)
    stranger.beat()
    stranger.release()
    assert path.stat().st_mtime_ns == before
    with pytest.raises(LeaseHeldError):
        stranger.claim()


def test_a_folder_that_cannot_be_written_is_one_clear_message(tmp_path: Path):
    (tmp_path / "runs").write_text("not a folder")
    with pytest.raises(DiskError, match="cannot write"):
        Lease(tmp_path / "runs" / "lease").claim()


def exclude(path: Path, rounds: int, violations: Any, entered: Any) -> None:
    """Claim, be alone, and die or give back; `inside` cannot be made twice."""
    inside = path.with_name("inside")
    for number in range(rounds):
        lease = Lease(path)
        try:
            lease.claim(patience_seconds=LIMIT_SECONDS)
        except LeaseHeldError:
            return
        try:
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            with violations.get_lock():
                violations.value += 1
        time.sleep(0.0005)
        inside.unlink(missing_ok=True)
        with entered.get_lock():
            entered.value += 1
        if number % 2:
            lease.release()
        else:  # as if it had died: the next one must take it over
            write_lease(path, Owner.this().model_copy(update={"pid": 2**22 + os.getpid()}))


@pytest.mark.slow
def test_two_never_hold_it_at_once_whoever_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("harness.records.lease.POLL_SECONDS", 0.0)
    violations, entered = FORK.Value("i", 0), FORK.Value("i", 0)
    children = [forked(exclude, tmp_path / "lease", 30, violations, entered) for _ in range(6)]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert entered.value == 6 * 30
    assert violations.value == 0
