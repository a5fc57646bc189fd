"""The append-only record of what a run spent, across interruptions."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from harness.api.errors import DiskError, RecordError
from harness.records.ledger_line import LedgerLine
from harness.records.schema import Spent
from harness.records.versions import refuse_other_version

BEAT_SECONDS = 5.0
"""A living run writes a line at least so often."""


class Ledger:
    """ledger.jsonl: one O_APPEND write and fsync for each line. A torn last line (its writer died) is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def append(self, line: LedgerLine) -> None:
        """Write one line durably. Safe from the heartbeat thread."""
        data = (line.model_dump_json(exclude_defaults=False) + "\n").encode()
        with self._lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                try:
                    whole = self._mend(handle) + data
                    if os.write(handle, whole) < len(whole):  # a nearly full disk takes the beginning alone
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise DiskError(f"cannot write {self.path}: {error.strerror}. Free space, then run again.") from None

    def _mend(self, handle: int) -> bytes:
        """A newline first if the previous writer died inside its line, so that only that line is lost."""
        size = os.fstat(handle).st_size
        if size == 0:
            return b""
        with self.path.open("rb") as file:
            file.seek(size - 1)
            return b"" if file.read(1) == b"\n" else b"\n"

    def lines(self) -> list[LedgerLine]:
        """All whole lines in order. Raises `RecordError` for a line of another program or version."""
        if not self.path.exists():
            return []
        whole = []
        # only \n ends a line; str.splitlines would also split at other characters, which a note may hold
        for text in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
            line = self._parse(text)
            if line is not None:
                whole.append(line)
        return whole

    def _parse(self, text: str) -> LedgerLine | None:
        try:
            raw = json.loads(text)
        except ValueError:
            return None
        refuse_other_version(raw.get("schema_version") if isinstance(raw, dict) else None, self.path)
        try:
            return LedgerLine.model_validate(raw)
        except ValidationError as error:
            raise RecordError(f"{self.path}: {error.errors()[0]['msg']} (not a ledger line)") from None

    def spent(self) -> Spent:
        """The sum over attempts."""
        return summarise(self.lines())


def summarise(lines: Sequence[LedgerLine]) -> Spent:
    """Sum over attempts: useful seconds and steps once, lost ones on their own.

    An attempt starts from a base (its checkpoint) and spends; only its last line counts. The base of the last attempt
    and what that attempt spent are useful. All else is lost: steps after a checkpoint that a kill destroyed, or a
    whole attempt that another environment made worthless. An attempt that ended before it knew its base spent nothing.
    """
    last = _last_lines(lines)
    if not last:
        return Spent(useful_device_seconds=0, lost_device_seconds=0, useful_steps=0, lost_steps=0, attempts=0)
    final = last[max(last)]
    seconds = sum(line.device_seconds for line in last.values())
    steps = sum(line.steps for line in last.values())
    useful_seconds = final.base_device_seconds + final.device_seconds
    useful_steps = final.base_steps + final.steps
    return Spent(
        useful_device_seconds=useful_seconds,
        lost_device_seconds=max(0.0, seconds - useful_seconds),
        useful_steps=useful_steps,
        lost_steps=max(0, steps - useful_steps),
        attempts=len(last),
    )


def _last_lines(lines: Sequence[LedgerLine]) -> dict[int, LedgerLine]:
    """The last line of each attempt that knew its base, by attempt."""
    started = {line.attempt for line in lines if line.kind == "start"}
    return {line.attempt: line for line in lines if line.kind != "violation" and line.attempt in started}


def summarise_at_rest(lines: Sequence[LedgerLine]) -> Spent:
    """`summarise` for a run that has not ended and that no process runs: it goes on from its checkpoint.

    What its last attempt spent after that checkpoint is lost. `summarise` counts it as lost only once the next attempt
    has begun.
    """
    spent = summarise(lines)
    if not spent.attempts:
        return spent
    last = _last_lines(lines)
    end = last[max(last)]
    kept = [line for line in lines if line.attempt == end.attempt and line.kind in ("start", "checkpoint")][-1]
    seconds, steps = end.device_seconds - kept.device_seconds, end.steps - kept.steps
    return Spent(
        useful_device_seconds=spent.useful_device_seconds - seconds,
        lost_device_seconds=spent.lost_device_seconds + seconds,
        useful_steps=spent.useful_steps - steps,
        lost_steps=spent.lost_steps + steps,
        attempts=spent.attempts,
    )


def useful_by_attempt(lines: Sequence[LedgerLine], *, settled: bool) -> dict[int, float]:
    """Useful device seconds by attempt. They add up to the useful device seconds of the run; the others are lost.

    settled: the run has ended, or a process runs it. Otherwise `summarise_at_rest` applies.
    """
    left = (summarise if settled else summarise_at_rest)(lines).useful_device_seconds
    last = _last_lines(lines)
    useful = {}
    for attempt in sorted(last, reverse=True):
        base = last[attempt].base_device_seconds
        useful[attempt] = min(max(0.0, left - base), last[attempt].device_seconds)
        left = min(left, base)
    return useful


def wall_by_phase(lines: Sequence[LedgerLine]) -> dict[str, float]:
    """Wall seconds by phase, summed over attempts."""
    last: dict[int, LedgerLine] = {line.attempt: line for line in lines if line.kind != "violation"}
    total: dict[str, float] = {}
    for line in last.values():
        for phase, seconds in line.wall_seconds.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total
