"""The claim of a process on a run: an O_EXCL file, no flock (NFS). A dead owner loses it, a silent one after 120 s."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from harness.api.errors import DiskError, InterruptedRunError, RecordError
from harness.records.files import disk_errors
from harness.records.owner import UNWRITTEN, Owner

SILENCE_SECONDS = 120.0
"""An owner that cannot be seen from here and gives no heartbeat for so long is presumed dead."""

POLL_SECONDS = 0.25
LONGEST_GAP = 1.0
"""Seconds between two looks at a heartbeat that count as watched: a watcher may itself be suspended."""

MOST_BYTES = 65536


class LeaseHeldError(Exception):
    """Another living process runs this run. The message names it."""


class LeaseLostError(InterruptedRunError):
    """This process does not hold the lease any more, so it must not write anything."""


class Silence:
    """How long a file has stayed as it is, by this process's own clock, as far as this process watched.

    A file server's time stamps are compared with each other alone: its clock may be another.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._looked = 0.0
        self._seconds = 0.0
        self.broken = False

    def seconds(self) -> float:
        """Look now. To be called at least once in `LONGEST_GAP`; what is more does not count."""
        before, self._seen = self._seen, self._look()
        now = time.monotonic()
        self._seconds = self._seconds + min(now - self._looked, LONGEST_GAP) if self._seen == before else 0.0
        self.broken |= before is not None and self._seen != before
        self._looked = now
        return self._seconds

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


class Lease:
    """The claim on one run: `claim` before any write, `beat` every few seconds, `release` at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner: Owner | None = None
        self._takeover = path.with_name(f".{path.name}.takeover")

    def claim(self, patience_seconds: float = 0.0) -> None:
        """Take the run. The lease of a dead owner is removed first.

        Where there is any patience, an owner that cannot be seen from here is watched until it gives a heartbeat, or
        none for `SILENCE_SECONDS`.

        Raises `LeaseHeldError` where a living process still holds it after `patience_seconds`, `RecordError` where
        something that is no lease is in its place or its folder is missing, and `DiskError`.
        """
        began = time.monotonic()
        silence, takeover = Silence(self.path), Silence(self._takeover)

        def over(owner: Owner) -> bool:
            return owner.state == "dead" or (owner.state == "unseen" and silence.seconds() >= SILENCE_SECONDS)

        while not self._create():
            holder = self.holder()
            if holder is not None and (not over(holder) or not self._remove_if(over, takeover)):
                undecided = patience_seconds > 0 and holder.state != "alive" and not silence.broken
                if time.monotonic() - began >= patience_seconds and not undecided:
                    raise LeaseHeldError(f"{self._name} is run by {holder}")
                time.sleep(POLL_SECONDS)

    @contextmanager
    def held_for(self, patience_seconds: float = 0.0) -> Iterator[Lease]:
        """`claim` around a block, and `release` after it."""
        self.claim(patience_seconds)
        try:
            yield self
        finally:
            self.release()

    def check(self) -> None:
        """Raise `LeaseLostError` where this process has claimed the lease and does not hold it any more."""
        if self._owner is None:
            return
        try:
            holder = self.holder()
        except RecordError as error:
            raise LeaseLostError(f"{self._name} was lost: {error}") from None
        if holder == self._owner:
            return
        if holder is not None:
            raise LeaseLostError(f"{self._name} was lost after a long silence to {holder}; nothing more was written")
        gone = "its lease" if self.path.parent.is_dir() else f"its folder {self.path.parent}"
        raise LeaseLostError(f"{self._name} was lost: {gone} was removed or renamed; nothing more was written")

    def beat(self) -> None:
        """Show that the owner lives: the file's modification time is the heartbeat. Raises as `check`."""
        self.check()
        if self._owner is not None:
            with disk_errors(self.path), suppress(FileNotFoundError):  # lost just now: the next check says so
                os.utime(self.path)

    def release(self) -> None:
        """Remove the lease, if this process holds it."""
        with suppress(LeaseLostError, DiskError, OSError):
            self.check()
            if self._owner is not None:
                self.path.unlink(missing_ok=True)
        self._owner = None

    def holder(self) -> Owner | None:
        """The process that holds the lease. None without one.

        Raises `RecordError` where something that is no lease is in its place, and `DiskError`.
        """
        content = self._read()
        if content is None:
            return None
        if not content.strip(b"\0"):
            return UNWRITTEN
        try:
            return Owner.model_validate_json(content)
        except ValidationError:
            raise RecordError(
                f"{self.path}: not a lease; it is damaged, or belongs to another program. Make sure that no process "
                f"works on {self.path.parent}, move the file away, then run the same command again"
            ) from None

    def held(self) -> bool:
        """Whether a living process seems to run this run, for displays and plans: `claim` alone finds out.

        Of an owner that cannot be seen, the date of the last heartbeat decides.
        """
        holder = self.holder()
        if holder is None or holder.state == "dead":
            return False
        return holder.state == "alive" or silence_seconds(self.path) < SILENCE_SECONDS

    def remove_of(self, dead: Owner) -> bool:
        """Remove the lease of an owner that is known to be dead, whatever its heartbeat.

        A lease that another owner has taken since stays. Returns False where another process is just about to remove
        it.
        """
        return self._remove_if(lambda owner: owner == dead, Silence(self._takeover))

    @property
    def _name(self) -> str:
        return self.path.parent.name[:10]

    def _create(self) -> bool:
        owner = Owner.this()
        with disk_errors(self.path):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                return False
            except FileNotFoundError:
                raise RecordError(f"{self.path.parent} is missing: it was removed or renamed") from None
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(owner.model_dump_json())
            except OSError:  # on a full disk an empty lease would keep every process out
                self.path.unlink(missing_ok=True)
                raise
        self._owner = owner
        return True

    def _read(self) -> bytes | None:
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                _refuse_other_than_file(self.path, os.fstat(handle))
                return os.read(handle, MOST_BYTES)
            finally:
                os.close(handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            with suppress(OSError):
                _refuse_other_than_file(self.path, self.path.lstat())
            raise DiskError(f"cannot read {self.path}: {error.strerror}; mend that, then run the same again") from None

    def _remove_if(self, dead: Callable[[Owner], bool], takeover: Silence) -> bool:
        """Remove a dead owner's lease, one process at a time. False where another process is about to do so.

        Another process could take the lease between a check of the owner and the removal. So only the maker of the
        takeover file removes it, after a second check. Where it was killed in between, that file expires as a lease
        does.
        """
        with disk_errors(self._takeover):
            try:
                os.close(os.open(self._takeover, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                with suppress(FileNotFoundError):
                    _refuse_other_than_file(self._takeover, self._takeover.lstat())
                if takeover.seconds() >= SILENCE_SECONDS:
                    self._takeover.unlink(missing_ok=True)
                return False
            try:
                holder = self.holder()
                if holder is not None and dead(holder):
                    self.path.unlink(missing_ok=True)
            finally:
                self._takeover.unlink(missing_ok=True)
        return True


def _refuse_other_than_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
        raise RecordError(f"{path}: {kind} where a lease should be. Move it away, then run the same command again")


def silence_seconds(path: Path) -> float:
    """Age of the last heartbeat by the file's date, for displays; 0 where the file is gone."""
    try:
        return max(0.0, time.time() - path.lstat().st_mtime)
    except FileNotFoundError:
        return 0.0
