"""Who runs a unit: an O_EXCL file, no flock (NFS). A dead owner is taken over, a silent one after 120 s."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.store.files import disk_errors

SILENCE_SECONDS = 120.0
"""An owner on another host that has not written a heartbeat for this long is presumed dead."""

POLL_SECONDS = 0.25


class LeaseHeldError(Exception):
    """Another living process runs this unit; the message says which."""


@dataclass(frozen=True)
class Owner:
    """A process, told apart from a later one with the same pid by its start time in clock ticks."""

    host: str
    pid: int
    start_ticks: int
    job: str | None = None

    @classmethod
    def this(cls) -> Owner:
        """The calling process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _start_ticks(pid) or 0, os.environ.get("SLURM_JOB_ID"))


def _start_ticks(pid: int) -> int | None:
    """Start time of a process from /proc, None if it is gone or a zombie (or there is no /proc and it is gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _signalled(pid)
    return None if fields[0] in "ZX" else int(fields[19])


def _signalled(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0


class Lease:
    """Claim of one unit; `claim` it before touching anything, `beat` every few seconds, `release` at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner: Owner | None = None

    def claim(self, patience_seconds: float = 0.0) -> None:
        """Take the unit, or raise `LeaseHeldError` when a living process still holds it after `patience_seconds`.

        The lease of a dead owner is moved aside first.
        """
        deadline = time.monotonic() + patience_seconds
        while not self._create():
            held = self.holder()
            if held is None:
                continue
            if not self._alive(held):
                self._move_aside(held)
            elif time.monotonic() >= deadline:
                raise LeaseHeldError(f"{self.path.parent.name[:10]} is run by pid {held.pid} on {held.host}")
            else:
                time.sleep(POLL_SECONDS)

    def beat(self) -> None:
        """Say that the owner lives: the file's modification time is the heartbeat."""
        if self._owner is not None and self.path.exists():
            os.utime(self.path)

    def release(self) -> None:
        """Give the unit back, if it is ours."""
        if self._owner is not None and self.holder() == self._owner:
            self.path.unlink(missing_ok=True)
        self._owner = None

    def holder(self) -> Owner | None:
        """Who holds the lease, None if nobody does or its writer died in the middle of writing it."""
        try:
            return Owner(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Owner("unknown", -1, 0)

    def held(self) -> bool:
        """Whether a living process runs this unit."""
        holder = self.holder()
        return holder is not None and self._alive(holder)

    def _create(self) -> bool:
        owner = Owner.this()
        with disk_errors(self.path):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                return False
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(owner), file)
        self._owner = owner
        return True

    def _alive(self, owner: Owner) -> bool:
        if owner.host == socket.gethostname():
            return _start_ticks(owner.pid) == owner.start_ticks
        try:
            silence_seconds = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return False
        return silence_seconds < SILENCE_SECONDS

    def _move_aside(self, dead: Owner) -> None:
        """Remove a dead owner's lease without ever removing one that somebody else took in the meantime."""
        aside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        if Lease(aside).holder() != dead:
            try:
                os.link(aside, self.path)
            except FileExistsError:
                pass
        aside.unlink(missing_ok=True)
