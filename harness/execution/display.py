"""Progress of runs: a live line for each on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.execution.outcome import Outcome
from harness.execution.session import Session
from harness.records.schema import Run
from harness.records.status import share_of

log = logging.getLogger(__name__)

LOG_SECONDS = 60.0
"""Without a terminal, seconds between two log lines about the current runs."""
DRAW_SECONDS = 1.0
BAR_WIDTH = 24


class Display:
    """Logs the end of each run. A terminal shows current runs below; elsewhere they are logged once a minute.

    session: the suite with its data and records.
    total:   number of runs.
    live:    draws on the terminal. None without one.
    """

    def __init__(self, session: Session, total: int, live: Live | None = None) -> None:
        self._session = session
        self._total = total
        self._live = live
        self._ended = 0
        self._shown_at = time.monotonic()

    def tick(self, running: Sequence[Run]) -> None:
        """Show the current runs, if the last time is long enough ago. May be called often."""
        if time.monotonic() - self._shown_at < (LOG_SECONDS if self._live is None else DRAW_SECONDS):
            return
        self._shown_at = time.monotonic()
        shares = {
            self._session.name_of(run): share_of(run.budget, self._session.folder(run).ledger.spent())
            for run in running
        }
        if self._live is not None:
            self._live.update(self._table(shares))
        elif shares:
            log.info("running: %s", "; ".join(f"{name} {share:.0%}" for name, share in shares.items()))

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Log how a run ended."""
        self._ended += 1
        log.info("[%s/%s] %s", self._ended, self._total, describe_ending(self._session, run, outcome))

    def _table(self, shares: dict[str, float]) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, share in shares.items():
            full = round(BAR_WIDTH * share)
            table.add_row(name, "█" * full + "░" * (BAR_WIDTH - full), f"{share:4.0%}")
        table.add_row(f"{self._ended} of {self._total} runs ended", "", "")
        return table


@contextmanager
def make_display(session: Session, total: int) -> Iterator[Display]:
    """A display of `total` runs, on the terminal while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(session, total)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:  # prints log lines above its table
        yield Display(session, total, live)


def describe_ending(session: Session, run: Run, outcome: Outcome) -> str:
    """Say in one line how a run ended."""
    name, result = session.name_of(run), session.folder(run).result() if outcome.status == "ok" else None
    if result is None:
        head = f"{name}: {outcome.status}"  # a child process prints this head too
        message = outcome.message.removeprefix(f"{head}: ")
        return f"{head}: {message}" if message else head
    last = result.validations[-1].mean_dice if result.validations else None
    dice = "" if last is None else f", validation Dice {last:.3f}"
    spent = result.spent
    return f"{name}: {spent.useful_steps} steps in {spent.useful_device_seconds:.1f} device-seconds{dice}"
