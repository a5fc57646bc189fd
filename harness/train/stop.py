"""A flag that signals raise and the loop reads between steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGUSR2)
RETIRE = signal.SIGUSR2
"""A search has seen enough of a trial: it ends for good, with what it has."""


class StopFlag:
    """Set by SIGTERM, SIGUSR1, SIGINT or a dead parent; the loop then checkpoints and leaves with exit code 75.

    retired: the first reason was SIGUSR2; a trial of a search then ends for good.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.reason = ""
        self.retired = False

    def set(self, reason: str) -> None:
        """Ask for a stop at the next step."""
        self.reason = self.reason or reason
        self._event.set()

    def is_set(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the flag, at most so long; whether it is set."""
        return self._event.wait(seconds)

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
        self.retired = number == RETIRE if not self.is_set() else self.retired
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.set(signal.Signals(number).name)
