"""A flag that signals raise and the loop reads between steps."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGUSR2)
POLL_SECONDS = 0.05
RETIRE = signal.SIGUSR2
"""A search has seen enough of a trial: it ends for good, with what it has."""


class StopFlag:
    """Set by SIGTERM, SIGUSR1, SIGINT or a dead parent; the loop then checkpoints and leaves with exit code 75.

    retired: the first reason was SIGUSR2; a trial of a search then ends for good.

    The handler takes no lock: it may interrupt itself, and a lock that the interrupted one holds (`threading.Event` has
    one) would never be given back.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.retired = False

    def set(self, reason: str) -> None:
        """Ask for a stop at the next step. The first reason stays."""
        self.reason = self.reason or reason

    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return bool(self.reason)

    def wait(self, seconds: float) -> bool:
        """Wait for the flag, at most so long; whether it is set."""
        until = time.monotonic() + seconds
        while not self.reason and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS))
        return self.is_set()

    @contextmanager
    def on_signals(self) -> Iterator[StopFlag]:
        """Catch the signals while the block runs; the handler only raises the flag. A second SIGINT is not caught."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.install()
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def install(self) -> None:
        """Catch the signals (again, where a library took them) in the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.retired = self.retired or (number == RETIRE and not self.reason)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.set(signal.Signals(number).name)
