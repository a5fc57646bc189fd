"""Runs parts of a benchmark one after the other, inside given minutes; each in a process, whose rows count at once.

A part prints rows, one line of JSON each. One that fails or is stopped keeps what it has printed, and takes none of the
others with it: a CUDA error ends a process for good.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

GRACE_SECONDS = 15.0
"""For a part that was asked to stop; then it is killed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A process that measures something.

    expected_seconds: without so many left it is not started.
    most_seconds:     after so many it is stopped; None: when the minutes are over.
    """

    name: str
    command: Sequence[str]
    expected_seconds: float
    most_seconds: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Planner:
    """Keeps rows and says what became of each part.

    Attributes:
        seconds: Of all parts together.
        write: Called with all rows and outcomes after each row and each part, so that a kill loses nothing.
    """

    seconds: float
    write: Callable[[Sequence[Row], Mapping[str, str]], None]
    rows: list[Row] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self._began)

    def run(self, part: Part) -> None:
        """Run a part if the time left allows it, and write what came of it."""
        left = self.left - GRACE_SECONDS
        if left < part.expected_seconds:
            outcome = f"left out: takes about {part.expected_seconds:.0f} s, {max(left, 0):.0f} s were left"
        else:
            began = time.monotonic()
            limit = left if part.most_seconds is None else min(left, part.most_seconds)
            code, stopped = self._rows_of(part, limit)
            took = f"{time.monotonic() - began:.0f} s"
            outcome = f"stopped after {took}" if stopped else f"exit code {code} after {took}" if code else took
        self.outcomes[part.name] = outcome
        self.write(self.rows, self.outcomes)

    def _rows_of(self, part: Part, limit: float) -> tuple[int, bool]:
        """Exit code of a part, and whether it was stopped at its limit; its rows join those of the others."""
        stopped = threading.Event()
        with subprocess.Popen(
            part.command, env={**os.environ, **part.environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, start_new_session=True,
        ) as process:  # fmt: skip
            timers = [
                threading.Timer(limit, _stop, (process, signal.SIGTERM, stopped)),
                threading.Timer(limit + GRACE_SECONDS, _stop, (process, signal.SIGKILL, stopped)),
            ]
            for timer in timers:
                timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("{"):
                        self.rows.append({"part": part.name, **json.loads(line)})
                        self.write(self.rows, self.outcomes)
                code = process.wait()
            finally:
                for timer in timers:
                    timer.cancel()
        return code, stopped.is_set()


def _stop(process: subprocess.Popen[str], number: int, stopped: threading.Event) -> None:
    if process.poll() is None:
        stopped.set()
        os.killpg(process.pid, number)
