import os
import socket
import time

import pytest

from harness.records.lease import Lease, LeaseHeldError
from harness.records.owner import Owner
from tests.records.processes import FORK, forked, kill
from tests.support import LIMIT_SECONDS


def write_lease(path, owner):
    aside = path.with_name(f"aside-{os.getpid()}")
    aside.write_text(owner.model_dump_json())
    aside.replace(path)


def hand_lease(path, **other):
    """To a process like this one, which differs in something."""
    write_lease(path, Owner.this().model_copy(update=other))


def hold(path, ready):
    Lease(path).claim()
    ready.set()
    time.sleep(60)


@pytest.fixture
def holder(path):
    ready = FORK.Event()
    child = forked(hold, path, ready)
    assert ready.wait(LIMIT_SECONDS)
    yield child
    if child.is_alive():
        kill(child)


def test_claim_says_who_and_release_gives_it_back(path, tmp_path, monkeypatch):
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


def test_a_living_process_is_not_taken_over(holder, path):
    os.utime(path, (0, 0))  # on the same host silence means nothing: the process lives
    with pytest.raises(LeaseHeldError, match=f"pid {holder.pid} on {socket.gethostname()}"):
        Lease(path).claim()


def test_a_killed_process_is_taken_over_at_once(holder, path):
    kill(holder)
    lease = Lease(path)
    lease.claim()
    owner = lease.holder()
    assert owner is not None
    assert owner.pid == os.getpid()


def test_a_zombie_is_dead(path):
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


def test_a_pid_that_somebody_else_has_now_is_dead(path):
    """Same host, same pid, other start time: the pid was given out again."""
    hand_lease(path, start_ticks=Owner.this().start_ticks - 1)
    assert not Lease(path).held()
    Lease(path).claim()


@pytest.mark.parametrize(("job", "restarts", "free"), [("77", 1, True), ("77", 0, False), ("78", 1, False)])
def test_an_earlier_life_of_the_same_job_is_over(job, restarts, free, path, monkeypatch):
    """Slurm ends all of a job before it starts it again, on whatever nodes; of other jobs that is not known."""
    hand_lease(path, host="another-node", job="77")
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    assert Lease(path).held() != free
    if free:
        Lease(path).claim()
        holder = Lease(path).holder()
        assert holder is not None
        assert (holder.job, holder.restarts) == (job, restarts)


def exclude(path, rounds, violations, entered):
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
            hand_lease(path, pid=2**22 + os.getpid())


@pytest.mark.slow
def test_two_never_hold_it_at_once_whoever_dies(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.records.lease.POLL_SECONDS", 0.0)
    violations, entered = FORK.Value("i", 0), FORK.Value("i", 0)
    children = [forked(exclude, tmp_path / "lease", 30, violations, entered) for _ in range(6)]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert entered.value == 6 * 30
    assert violations.value == 0
