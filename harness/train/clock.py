"""Clocks that charge training steps, injected, so that tests use a scripted one; and wall time by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SYNCHRONISE_EVERY_STEPS = 10
"""On CUDA the host waits for the device once in so many steps; the budget's bounds are that many steps wide."""


class StepClock:
    """Charges what happens between `start` and `stop`, in seconds: here the CPU seconds of the calling thread.

    Neither other threads (heartbeats) nor a busy neighbour are charged.
    """

    def __init__(self) -> None:
        self._started = 0.0

    @property
    def pending(self) -> int:
        """Steps that were stopped and whose seconds are not known yet."""
        return 0

    def start(self) -> None:
        """A step begins: batch assembly, augmentation, loss, backward, optimiser, after_step."""
        self._started = time.thread_time()

    def stop(self) -> list[float]:
        """The step ended; seconds of the steps that became known, oldest first."""
        return [time.thread_time() - self._started]

    def flush(self) -> list[float]:
        """Wait for the device; seconds of all pending steps."""
        return []


class CudaClock(StepClock):
    """Device time between events, read without stopping the device but once in `SYNCHRONISE_EVERY_STEPS` steps.

    A step lasts from its start event to its stop event. The device may idle between the two while the host
    prepares work: that time is the method's own and is charged.
    """

    def __init__(self, device: torch.device) -> None:
        import torch

        self._torch = torch
        self._stream = torch.cuda.current_stream(device)
        self._steps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._begin = self._event()

    def _event(self) -> torch.cuda.Event:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self._stream)
        return event

    @property
    def pending(self) -> int:
        return len(self._steps)

    def start(self) -> None:
        self._begin = self._event()

    def stop(self) -> list[float]:
        """Record an event; read all of them when enough have gathered."""
        self._steps.append((self._begin, self._event()))
        return self.flush() if len(self._steps) >= SYNCHRONISE_EVERY_STEPS else []

    def flush(self) -> list[float]:
        """Synchronise with the last event and read all."""
        if not self._steps:
            return []
        self._steps[-1][1].synchronize()
        seconds = [begin.elapsed_time(end) / 1000.0 for begin, end in self._steps]
        self._steps.clear()
        return seconds


def clock_of(device: torch.device) -> StepClock:
    return CudaClock(device) if device.type == "cuda" else StepClock()


class Phases:
    """A stopwatch per phase of the wall time, so that what nobody measured shows as `unaccounted`.

    Phases do not nest: entering one suspends the one around it.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._began = now()
        self._total: dict[str, float] = {}
        self._open: list[str] = []
        self._since = self._began

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Charge the block to `phase`."""
        self._switch()
        self._open.append(phase)
        try:
            yield
        finally:
            self._switch()
            self._open.pop()

    def _switch(self) -> None:
        now = self._now()
        if self._open:
            name = self._open[-1]
            self._total[name] = self._total.get(name, 0.0) + now - self._since
        self._since = now

    def seconds(self) -> dict[str, float]:
        """Seconds so far by phase, with the remainder as `unaccounted`; readable from another thread."""
        now = self._now()
        total = dict(self._total)
        running = self._open[-1] if self._open else None
        if running is not None:
            total[running] = total.get(running, 0.0) + max(0.0, now - self._since)
        return total | {"unaccounted": max(0.0, now - self._began - sum(total.values()))}
