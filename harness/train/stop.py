"""A flag that signals raise and the loop reads between steps, and a thread that says that a run lives."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from harness.api.errors import HarnessError, InterruptedRunError
from harness.records.ledger import BEAT_SECONDS

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
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # a fork server blocks them until somebody listens

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.retired = self.retired or (number == RETIRE and not self.reason)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.set(signal.Signals(number).name)


class Heartbeat:
    """Calls `beat` every `BEAT_SECONDS` while the block runs. Its CPU time is not the training thread's.

    A process whose parent died (the driver was killed) is asked to stop, so that no orphan goes on unseen. An error
    in `beat` (a full disk) is kept and raised by `check` in the training thread.
    """

    def __init__(self, beat: Callable[[], None], stop: StopFlag, parent: int | None = None) -> None:
        self._beat = beat
        self._stop = stop
        self._parent = parent
        self._error: HarnessError | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what went wrong in the heartbeat: a lost lease, a full disk."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            if self._parent is not None and os.getppid() != self._parent:
                self._stop.set("the parent process is gone")
            try:
                self._beat()
            except HarnessError as error:
                self._fail(error)
                return
            except Exception as error:  # noqa: BLE001 - a silent heart would let another host take a living run over
                self._fail(InterruptedRunError(f"the heartbeat failed: {type(error).__name__}: {error}"))
                return

    def _fail(self, error: HarnessError) -> None:
        self._error = error
        self._stop.set(str(error))
