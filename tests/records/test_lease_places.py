import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import Any

import pytest

from harness.api.errors import RecordError
from harness.records import lease as lease_module
from harness.records.lease import SILENCE_SECONDS, Lease, LeaseHeldError, LeaseLostError
from harness.records.owner import UNWRITTEN, Owner
from tests.records.processes import FORK, forked
from tests.records.test_lease import hand_lease, write_lease
from tests.support import LIMIT_SECONDS, command_environment, require

pytestmark = pytest.mark.slow

UNSEEN: dict[str, Any] = {
    "another host": {"host": "another-node"},
    "no pid namespace": {"pid_namespace": None},
    "another pid namespace, pid of somebody else": {"pid_namespace": "pid:[1]", "pid": 1, "start_ticks": 1},
}
CLOCKS = [-1.7e9, 3600.0]
"""Seconds that a file server's clock is ahead of this machine's."""


@pytest.fixture
def quick(monkeypatch):
    assert SILENCE_SECONDS == 120.0
    monkeypatch.setattr(lease_module, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(lease_module, "POLL_SECONDS", 0.02)


@contextmanager
def beating(path, date):
    end = threading.Event()

    def beat():
        for number in range(10**6):
            os.utime(path, (0, date + number * 1e-3))
            if end.wait(0.1):
                return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("name", UNSEEN)
def test_who_cannot_be_seen_lives_while_it_beats_and_dies_of_silence(name, path, quick):
    owner = Owner.this().model_copy(update=UNSEEN[name])
    assert owner.state == "unseen"
    write_lease(path, owner)
    with beating(path, time.time()), pytest.raises(LeaseHeldError, match=f"pid {owner.pid} on {owner.host}"):
        Lease(path).claim(patience_seconds=0.3)
    began = time.monotonic()
    Lease(path).claim(patience_seconds=0.1)
    assert time.monotonic() - began >= 0.5
    assert Lease(path).holder() == Owner.this()


@pytest.mark.parametrize("ahead", CLOCKS)
def test_the_date_of_a_heartbeat_decides_nothing(ahead, path, quick):
    date = time.time() + ahead
    hand_lease(path, host="another-node")
    with beating(path, date), pytest.raises(LeaseHeldError):
        Lease(path).claim(patience_seconds=0.8)
    os.utime(path, (date, date))
    with pytest.raises(LeaseHeldError):
        Lease(path).claim()
    began = time.monotonic()
    Lease(path).claim(patience_seconds=0.1)
    assert time.monotonic() - began >= 0.5


def claim(path, claimed):
    Lease(path).claim(patience_seconds=0.1)
    claimed.set()


def test_a_suspended_watcher_has_not_watched(path, quick, monkeypatch):
    monkeypatch.setattr(lease_module, "LONGEST_GAP", 0.1)
    claimed = FORK.Event()
    hand_lease(path, host="another-node")
    child = forked(claim, path, claimed)
    assert child.pid is not None
    time.sleep(0.1)
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(child.pid, signal.SIGCONT)
    assert not claimed.wait(0.1), "what it slept through is no silence"
    assert claimed.wait(LIMIT_SECONDS)


CLAIMED_TWICE = """
import subprocess, sys
from pathlib import Path
from typing import Any
from harness.records.lease import Lease, LeaseHeldError
try:
    Lease(Path(sys.argv[1])).claim()
except LeaseHeldError:
    sys.exit(73)
print(subprocess.run([sys.executable, *sys.argv], check=False).returncode, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mount", [[], ["--mount-proc"]], ids=["proc of the host", "proc of its own"])
def test_a_process_in_another_pid_namespace_is_not_taken_for_dead(mount, path, tmp_path):
    unshare = ["unshare", "--pid", "--fork", *mount]
    probe = subprocess.run([*unshare, "true"], check=False, capture_output=True, text=True)
    require("unshare", probe.returncode == 0, f"no right to make a pid namespace: {probe.stderr.strip()}")
    (tmp_path / "script.py").write_text(CLAIMED_TWICE)
    command = [*unshare, sys.executable, str(tmp_path / "script.py"), str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=command_environment()
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "73\n"
        holder = Lease(path).holder()
        assert holder is not None
        assert (holder.host, holder.state) == (socket.gethostname(), "unseen")
        with pytest.raises(LeaseHeldError):
            Lease(path).claim()
        child.communicate("")


def test_a_lease_without_content_is_of_one_who_begins_or_died_just_then(path, quick):
    for content in (b"", b"\0" * 300):
        path.write_bytes(content)
        assert Lease(path).holder() == UNWRITTEN
        with pytest.raises(LeaseHeldError, match="has not written its name"):
            Lease(path).claim()
        Lease(path).claim(patience_seconds=0.1)
        path.unlink()


def test_a_takeover_whose_maker_was_killed_expires(path, tmp_path, quick):
    hand_lease(path, start_ticks=1)
    (tmp_path / ".lease.takeover").touch()
    Lease(path).claim(patience_seconds=0.1)
    assert list(tmp_path.iterdir()) == [path]


VALID = Owner.this().model_dump_json()
NOT_LEASES = {
    "a folder": lambda path: path.mkdir(),
    "a link to an endless file": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "pid -1": lambda path: path.write_text(VALID.replace(f'"pid":{os.getpid()}', '"pid":-1')),
    "deep": lambda path: path.write_text("[" * 60_000),
    "huge": lambda path: path.write_bytes(b"x" * 50_000_000),
}


@pytest.mark.parametrize("name", NOT_LEASES)
def test_what_is_no_lease_is_one_clear_error(name, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    NOT_LEASES[name](path)
    for use in (Lease(path).claim, lambda: Lease(path).claim(5.0), Lease(path).holder, Lease(path).held):
        began = time.monotonic()
        with pytest.raises(RecordError, match=r"(?i)move (it|the file) away, then run the same") as error:
            use()
        assert str(path) in str(error.value)
        assert time.monotonic() - began < 1
    assert os.path.lexists(path), "it is the user's"


LOSSES = {
    "removed": lambda path: path.unlink(),
    "another host's": lambda path: hand_lease(path, host="another-node"),
    "another process's": lambda path: hand_lease(path, pid=1),
    "emptied": lambda path: path.write_bytes(b""),
    "folder renamed": lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
}


def state_of(folder):
    return sorted((path, path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", LOSSES)
def test_who_lost_the_lease_is_told_and_changes_nothing(name, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    lease = Lease(folder / "lease")
    lease.claim()
    lease.check()
    LOSSES[name](lease.path)
    before = state_of(tmp_path)
    for use in (lease.check, lease.beat):
        with pytest.raises(LeaseLostError, match="was lost"):
            use()
    lease.release()
    assert state_of(tmp_path) == before


def test_a_process_never_signals_who_cannot_be_seen(path, tmp_path):
    """The pid of a driver's child in another namespace is somebody else's here."""
    from harness.execution.process import stop_on_this_host

    victim = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    seen = Owner.this().model_copy(update={"pid": victim.pid, "driver": os.getpid(), "job": None})
    write_lease(path, seen.model_copy(update={"pid_namespace": "pid:[1]"}))
    assert stop_on_this_host([str(tmp_path)], os.getpid(), None) == 0
    assert victim.poll() is None
    victim.communicate(b"\n")
