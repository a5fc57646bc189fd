"""Runs units in processes of their own, some side by side, until they have ended or somebody asks them to stop."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.execution.display import Display
from harness.execution.outcome import Outcome
from harness.execution.process import UnitProcess, unwritable
from harness.execution.ray import KILLED_TRIES, make_order, settle, stopped
from harness.execution.session import Session
from harness.records.schema import Unit
from harness.train.stop import StopFlag

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
class Lanes:
    """Room for `count` units side by side.

    A unit whose process dies without a word is started once more, from its checkpoint.
    """

    session: Session
    count: int
    checkpoint_seconds: float
    stop: StopFlag
    display: Display
    _tries: dict[str, int] = field(default_factory=dict)

    def run(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        """An outcome per unit as it ends. Asked to stop, it asks them for a checkpoint and starts no more."""
        waiting = deque(units)
        lanes = [_Lane(devices) for devices in lane_devices(self.count)]
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
        ended = lane.process.wait(0)
        if ended is None:
            return None
        outcome = stopped(ended, self.stop)
        unit, lane.unit, lane.process = lane.unit, None, None
        if outcome.status == "killed" and self._tries[unit.id] < KILLED_TRIES:
            waiting.appendleft(unit)
            return None
        return settle(self.session, unit, outcome)


def lane_devices(lanes: int) -> list[str | None]:
    """What each lane may see of the job's GPUs: one each, and no more lanes than GPUs; None where it has none."""
    visible = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    return list(visible[:lanes]) if visible else [None] * lanes
