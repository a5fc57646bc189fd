"""The claim of a process on a run: an O_EXCL file, no flock (NFS). A dead owner loses it, a silent one after 120 s."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.records.files import disk_errors

SILENCE_SECONDS = 120.0
"""An owner on another host that has not written a heartbeat for this long is presumed dead."""

POLL_SECONDS = 0.25
DRIVER_VARIABLE = "HARNESS_DRIVER"
"""Environment variable with the pid of the driver, for the processes that it starts."""


class LeaseHeldError(Exception):
    """Another living process runs this run. The message names it."""


@dataclass(frozen=True)
class Owner:
    """A process. Its start time in clock ticks distinguishes it from a later one with the same pid.

    driver:   pid of the `harness run` that started it. None without one.
    job:      Slurm's id of the job it runs in, None outside of Slurm.
    restarts: times that Slurm had requeued that job by then, None outside of Slurm.
    cluster:  name of the cluster that gave the job its id, None outside of Slurm.
    """

    host: str
    pid: int
    start_ticks: int
    driver: int | None = None
    job: str | None = None
    restarts: int | None = None
    cluster: str | None = None

    @classmethod
    def this(cls) -> Owner:
        """The calling process."""
        pid = os.getpid()
        driver = os.environ.get(DRIVER_VARIABLE)
        slurm = (current_job(), current_restarts(), current_cluster()) if current_job() else ()
        return cls(socket.gethostname(), pid, _start_ticks(pid) or 0, int(driver) if driver else None, *slurm)

    @property
    def ended_with_its_job(self) -> bool:
        """Whether it ran in this process's job before Slurm ended that and started it again."""
        return self.job is not None and self.job == current_job() and (self.restarts or 0) < current_restarts()


def current_job() -> str | None:
    """Slurm's id of the job that this process runs in."""
    return os.environ.get("SLURM_JOB_ID")


def current_cluster() -> str | None:
    """Name of the cluster whose job this process runs in."""
    return os.environ.get("SLURM_CLUSTER_NAME") or None


def current_restarts() -> int:
    """How often Slurm requeued that job."""
    return int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def _start_ticks(pid: int) -> int | None:
    """Start time of a process from /proc, None if it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Lease:
    """The claim on one run: `claim` before any write, `beat` every few seconds, `release` at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner: Owner | None = None

    def claim(self, patience_seconds: float = 0.0) -> None:
        """Take the run. The lease of a dead owner is removed first.

        Raises:
            LeaseHeldError: a living process still holds it after `patience_seconds`.
            DiskError:      the lease cannot be written.
        """
        deadline = time.monotonic() + patience_seconds
        while not self._create():
            holder = self.holder()
            if holder is None or (not self._alive(holder) and self._remove_if(lambda owner: not self._alive(owner))):
                continue
            if time.monotonic() >= deadline:
                raise LeaseHeldError(f"{self.path.parent.name[:10]} is run by pid {holder.pid} on {holder.host}")
            time.sleep(POLL_SECONDS)

    @contextmanager
    def held_for(self, patience_seconds: float = 0.0) -> Iterator[Lease]:
        """`claim` around a block, and `release` after it."""
        self.claim(patience_seconds)
        try:
            yield self
        finally:
            self.release()

    def beat(self) -> None:
        """Show that the owner lives: the file's modification time is the heartbeat.

        Raises:
            LeaseHeldError: another host took the run over, since this process was silent for too long.
        """
        if self._owner is None:
            return
        with disk_errors(self.path):
            holder = self.holder()
            if holder != self._owner:
                by = f"pid {holder.pid} on {holder.host}" if holder else "nobody"
                raise LeaseHeldError(f"{self.path.parent.name[:10]} was lost after a long silence to {by}")
            os.utime(self.path)

    def release(self) -> None:
        """Remove the lease, if this process holds it."""
        if self._owner is not None and self.holder() == self._owner:
            self.path.unlink(missing_ok=True)
        self._owner = None

    def holder(self) -> Owner | None:
        """The process that holds the lease. None without one; an unknown process where the file is damaged."""
        try:
            return Owner(**json.loads(self.path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Owner("unknown", -1, 0)

    def held(self) -> bool:
        """Whether a living process runs this run."""
        holder = self.holder()
        return holder is not None and self._alive(holder)

    def remove_of(self, dead: Owner) -> bool:
        """Remove the lease of an owner that is known to be dead, say because Slurm ended its job.

        The heartbeat does not matter. A lease that another owner has taken since stays. Returns False where another
        process is just about to remove it.
        """
        return self._remove_if(lambda owner: owner == dead)

    def _create(self) -> bool:
        owner = Owner.this()
        with disk_errors(self.path):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                return False
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(asdict(owner), file)
            except OSError:  # on a full disk an empty lease would keep every process out
                self.path.unlink(missing_ok=True)
                raise
        self._owner = owner
        return True

    def _alive(self, owner: Owner) -> bool:
        if owner.host == socket.gethostname():
            return _start_ticks(owner.pid) == owner.start_ticks
        return not owner.ended_with_its_job and silence_seconds(self.path) < SILENCE_SECONDS

    def _remove_if(self, dead: Callable[[Owner], bool]) -> bool:
        """Remove a dead owner's lease, one process at a time. False where another process is about to do so.

        Another process could take the lease between our check of the owner and the removal. So only the process that
        made the takeover file removes the lease, after a second check. That file lives for microseconds. Where its
        maker was killed in that time, the file expires as a lease does.
        """
        takeover = self.path.with_name(f".{self.path.name}.takeover")
        with disk_errors(takeover):
            try:
                os.close(os.open(takeover, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                if silence_seconds(takeover) >= SILENCE_SECONDS:
                    takeover.unlink(missing_ok=True)
                return False
            try:
                holder = self.holder()
                if holder is not None and dead(holder):
                    self.path.unlink(missing_ok=True)
            finally:
                takeover.unlink(missing_ok=True)
        return True


def silence_seconds(path: Path) -> float:
    """Seconds since the last heartbeat. 0 where the file is gone: another process has just removed it."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
