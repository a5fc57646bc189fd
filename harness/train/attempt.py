"""One attempt at a unit: where its seconds go, written to the ledger as it goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from harness.records.ledger import Ledger
from harness.records.ledger_line import LedgerLine
from harness.records.place import Place
from harness.train.meter import Meter
from harness.train.phases import Phases

Kind = Literal["begin", "start", "heartbeat", "checkpoint", "end", "breach"]


class Attempt:
    """Knows what the attempt started from and what it has spent since."""

    def __init__(self, ledger: Ledger, environment: str, note: str | None = None) -> None:
        self.ledger = ledger
        self.environment = environment
        self.note = note
        self.phases = Phases()
        self.number = max((line.attempt for line in ledger.lines()), default=-1) + 1
        self._meter: Meter | None = None
        self._base_seconds = 0.0
        self._base_steps = 0
        self.breached = False

    def begin(self, place: Place) -> None:
        """Say where it runs, before anything is loaded: what comes of it is seen from here on."""
        self.write("begin", place=place)

    def start(self, meter: Meter) -> None:
        """The meter stands where this attempt goes on from."""
        self._base_seconds = meter.seconds
        self._base_steps = meter.steps
        self._meter = meter  # last: the heartbeat may write at any moment
        self.write("start", self.note)

    def write(self, kind: Kind, note: str | None = None, place: Place | None = None) -> None:
        """Append what was spent up to now. Called from the heartbeat thread too."""
        meter = self._meter
        self.breached = self.breached or kind == "breach"
        self.ledger.append(
            LedgerLine(
                kind=kind,
                attempt=self.number,
                at=now(),
                environment=self.environment,
                base_device_seconds=self._base_seconds,
                base_steps=self._base_steps,
                device_seconds=max(0.0, meter.seconds - self._base_seconds) if meter else 0.0,
                steps=max(0, meter.steps - self._base_steps) if meter else 0,
                wall_seconds=self.phases.seconds(),
                place=place,
                note=None if note is None else printable(note),
            )
        )


def printable(text: str) -> str:
    """Text that a record can hold: a file name within a message may be no unicode."""
    return text.encode("utf-8", "backslashreplace").decode()


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
