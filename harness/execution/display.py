"""What a person sees while units run: a live line per unit on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.execution.outcome import Outcome
from harness.execution.session import Session
from harness.records.schema import Unit
from harness.records.status import share_of

PLAIN_SECONDS = 60.0
"""Without a terminal, running units are mentioned this often."""


class Display(Protocol):
    """Shows progress; used as a context manager around the run."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def tick(self, running: Sequence[Unit]) -> None:
        """Units that run now."""

    def ended(self, unit: Unit, outcome: Outcome) -> None:
        """A unit ended."""

    def say(self, line: str) -> None:
        """A line of its own."""


def make_display(session: Session, total: int) -> Display:
    """Live on a terminal, plain elsewhere."""
    console = Console(stderr=True)
    return LiveDisplay(session, total, console) if console.is_terminal else PlainDisplay(session, total)


def progress_of(session: Session, unit: Unit) -> float:
    """Share of the budget that a unit has spent, from its ledger."""
    return share_of(unit.budget, session.folder(unit).ledger.spent())


class PlainDisplay:
    """One line when a unit ends, and one a minute for those that run."""

    def __init__(self, session: Session, total: int) -> None:
        self._session = session
        self._total = total
        self._ended = 0
        self._console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        self._spoke_at = time.monotonic()

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def tick(self, running: Sequence[Unit]) -> None:
        """Mention what runs, once a minute."""
        if time.monotonic() - self._spoke_at >= PLAIN_SECONDS and running:
            parts = [f"{self._session.name_of(unit)} {progress_of(self._session, unit):.0%}" for unit in running]
            self.say(f"running: {'; '.join(parts)}")
            self._spoke_at = time.monotonic()

    def ended(self, unit: Unit, outcome: Outcome) -> None:
        """The unit's line."""
        self._ended += 1
        self.say(f"[{self._ended}/{self._total}] {ending(self._session, unit, outcome)}")

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(line)


class LiveDisplay:
    """A table of running units below the lines of those that ended."""

    def __init__(self, session: Session, total: int, console: Console) -> None:
        self._session = session
        self._total = total
        self._ended = 0
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._drawn_at = 0.0

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def tick(self, running: Sequence[Unit]) -> None:
        """Redraw the running units, about once a second."""
        if time.monotonic() - self._drawn_at < 1.0:
            return
        self._drawn_at = time.monotonic()
        table = Table.grid(padding=(0, 2))
        for unit in running:
            share = progress_of(self._session, unit)
            table.add_row(
                self._session.name_of(unit), "█" * round(24 * share) + "░" * (24 - round(24 * share)), f"{share:4.0%}"
            )
        table.add_row(f"{self._ended} of {self._total} units ended", "", "")
        self._live.update(table)

    def ended(self, unit: Unit, outcome: Outcome) -> None:
        """The unit's line, above the table."""
        self._ended += 1
        self.say(f"[{self._ended}/{self._total}] {ending(self._session, unit, outcome)}")

    def say(self, line: str) -> None:
        """Print above the table."""
        self._console.print(line, highlight=False, markup=False)


def ending(session: Session, unit: Unit, outcome: Outcome) -> str:
    """How a unit ended, in one line."""
    name, result = session.name_of(unit), session.folder(unit).result() if outcome.status == "ok" else None
    if result is None:
        head = f"{name}: {outcome.status}"  # which a unit in a process of its own says too
        message = outcome.message.removeprefix(f"{head}: ")
        return f"{head}: {message}" if message else head
    last = result.looks[-1].mean_dice if result.looks else None
    dice = "" if last is None else f", validation Dice {last:.3f}"
    spent = result.spent
    return f"{name}: {spent.useful_steps} steps in {spent.useful_device_seconds:.1f} device-seconds{dice}"
