"""A thread that says every few seconds that the run lives and what it has spent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType

from harness.api.errors import HarnessError, InterruptedRunError
from harness.records.ledger import BEAT_SECONDS
from harness.train.stop import StopFlag


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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what went wrong in the heartbeat."""
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
