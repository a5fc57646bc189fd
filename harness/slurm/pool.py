"""Runs units in processes of their own, some side by side, until they have ended or somebody asks them to stop."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.execute.display import Display
from harness.execute.outcome import Outcome
from harness.execute.process import UnitProcess, unwritable
from harness.execute.ray import KILLED_TRIES, make_order, settle
from harness.execute.session import Session
from harness.spec.errors import InterruptedRunError
from harness.spec.records import Unit
from harness.train import StopFlag

POLL_SECONDS = 0.1
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass
class _Lane:
    """Room for one unit at a time, on a GPU of its own where the job has some."""

    devices: str | None
    unit: Unit | None = None
    process: UnitProcess | None = None
    told: bool = False


@dataclass
class Pool:
    """Lanes side by side; a unit whose process dies without a word is started once more, from its checkpoint."""

    session: Session
    lanes: int
    checkpoint_seconds: float
    stop: StopFlag
    display: Display
    _tries: dict[str, int] = field(default_factory=dict)

    def run(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        """An outcome per unit as it ends. Asked to stop, it asks them for a checkpoint and starts no more."""
        waiting = deque(units)
        lanes = [_Lane(devices) for devices in lane_devices(self.lanes)]
        while any(lane.process for lane in lanes) or (waiting and not self.stop.is_set()):
            for lane in lanes:
                if lane.process is None and waiting and not self.stop.is_set():
                    refused = self._start(lane, waiting.popleft())
                    if refused is not None:
                        yield refused
                ended = self._ended(lane, waiting)
                if ended is not None:
                    yield ended
            self.display.tick([lane.unit for lane in lanes if lane.unit is not None])
            time.sleep(POLL_SECONDS)

    def _start(self, lane: _Lane, unit: Unit) -> Outcome | None:
        """Start a unit on a free lane; an outcome if that cannot be."""
        self._tries[unit.id] = self._tries.get(unit.id, 0) + 1
        order = replace(make_order(self.session, unit, self.checkpoint_seconds), devices=lane.devices)
        try:
            lane.unit, lane.process, lane.told = unit, UnitProcess(order), False
        except OSError as error:
            lane.unit = None
            return unwritable(order, error)
        return None

    def _ended(self, lane: _Lane, waiting: deque[Unit]) -> Outcome | None:
        """How a lane's unit ended, None if it goes on, here or from the front of those that wait."""
        if lane.process is None or lane.unit is None:
            return None
        if self.stop.is_set() and not lane.told:
            lane.process.signal(signal.SIGUSR1)
            lane.told = True
        outcome = lane.process.wait(0)
        if outcome is None:
            return None
        unit, lane.unit, lane.process = lane.unit, None, None
        if outcome.status == "killed" and self.stop.is_set():  # before it could listen
            return Outcome(unit.id, "interrupted", self.stop.reason, InterruptedRunError.exit_code)
        if outcome.status == "killed" and self._tries[unit.id] < KILLED_TRIES:
            waiting.appendleft(unit)
            return None
        return settle(self.session, unit, outcome)


def lane_devices(lanes: int) -> list[str | None]:
    """What each lane may see of the job's GPUs: one each, and no more lanes than GPUs; None where it has none."""
    visible = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return list(visible[:lanes]) if visible else [None] * lanes
