"""Ends a process at a moment inside a phase: armed by the plug-in, in whatever process of a run enters that phase."""

import json
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

MOMENT, RUN = "CHAOS_MOMENT", "CHAOS_RUN"
"""Environment variables: a `Moment` as JSON, and the pid of the run, which leads a process group."""

PHASES = {
    "preparing": ("harness.data.prepare:", "write_cache", 0.1, 1),
    "calibrating": ("harness.execution.calibration:", "_complete", 20.0, 1),
    "searching": ("harness.search.run:", "_run_listed", 2.0, 1),
    "writing result": ("harness.records.run_folder:RunFolder", "write_result", 0.02, 1),
    "testing": ("harness.train.run:", "test_once", 0.2, 1),
    "checkpointing": ("harness.train.trainer:", "save_checkpoint", 0.05, 2),
    "validating": ("harness.train.measure:Validator", "validate", 0.05, 2),
    "training": ("harness.train.trainer:Trainer", "_step", 0.02, 40),
    "leaderboard": ("harness.pipeline:", "write_views", 1.5, 1),
    "tracking": ("harness.pipeline:", "track_or_warn", 6.0, 1),
}
"""Phase -> its function, about the seconds of a call, calls in a run. In the order in which a case kills in them: the
shortest of a run first, while there are runs to end."""


@dataclass(frozen=True)
class Moment:
    """A signal, so long after a call of the phase's function begins, or at its end; once, which the file `fired` says.

    target: "run", its "group", or the "trainer": whichever process is in the phase.
    """

    phase: str
    call: int
    delay_seconds: float
    target: str
    signal: str
    fired: str

    def fire(self):
        """Send the signal, unless that happened."""
        with suppress(FileExistsError, ProcessLookupError):
            Path(self.fired).touch(exist_ok=False)
            pid = os.getpid() if self.target == "trainer" else int(os.environ[RUN])
            (os.killpg if self.target == "group" else os.kill)(pid, signal.Signals[self.signal])


def arm():
    """Wrap the function of the phase that the environment names."""
    if MOMENT in os.environ:
        moment = Moment(**json.loads(os.environ[MOMENT]))
        place, name, *_ = PHASES[moment.phase]
        owner = resolve_name(place)
        setattr(owner, name, _wrapped(getattr(owner, name), moment))


def _wrapped(function: Callable[..., Any], moment: Moment) -> Callable[..., Any]:
    calls = 0

    def wrapper(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != moment.call:
            return function(*arguments, **named)
        timer = threading.Timer(moment.delay_seconds, moment.fire)
        timer.daemon = True
        timer.start()
        try:
            return function(*arguments, **named)
        finally:
            moment.fire()

    return wrapper
