"""Wall time by phase, each measured on its own, so that what nobody measured shows as `unaccounted`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Phases:
    """A stopwatch per phase. Phases do not nest: entering one suspends the one around it."""

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
