"""Bundles of units that fit a time limit: pure, balanced, and the same for the same units."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.1
"""Share of the time limit that is left free: expectations are not promises."""
TASK_START_SECONDS = 60.0
"""From the start of an array task to the start of its first unit: modules, imports, the plan, the data."""
WORTHWHILE_SECONDS = 600.0
"""Shorter bundles than this are not made for the sake of more tasks at once: each pays for its start."""


@dataclass(frozen=True)
class Bundle:
    """What one array task runs.

    units:   positions in the list that was bundled, in the order in which they start.
    seconds: expected wall seconds of the task, its start included.
    """

    units: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Room:
    """What a task has for its units.

    seconds: wall seconds for units: the time limit without its margin, the warning and the task's start.
    lanes:   units side by side.
    """

    seconds: float
    lanes: int = 1

    @classmethod
    def within(cls, time_seconds: float, warning_seconds: float, lanes: int = 1) -> Room:
        """Of a task with this time limit that is told to checkpoint so long before it."""
        return cls(time_seconds * (1.0 - MARGIN) - warning_seconds - TASK_START_SECONDS, lanes)


def bundle(seconds: Sequence[float], room: Room, parallel: int) -> list[Bundle]:
    """Spread units, given their expected wall seconds, over as few tasks as fit, or more where these run side by side.

    parallel: tasks that may run at once; up to so many are made as long as they stay worth their start.

    Raises:
        ValueError: a unit is longer than the room; told by its position.
    """
    if not seconds:
        return []
    longest = max(range(len(seconds)), key=lambda index: seconds[index])
    if seconds[longest] > room.seconds:
        raise ValueError(longest)
    total = sum(seconds)
    wanted = min(parallel, int(total / (room.lanes * WORTHWHILE_SECONDS)), math.ceil(len(seconds) / room.lanes))
    fewest = max(wanted, math.ceil(total / (room.lanes * room.seconds)), 1)
    balanced = _spread(seconds, fewest * room.lanes)
    if max(_loads(seconds, balanced)) > room.seconds:
        balanced = _spread(seconds, _lanes_that_fit(seconds, room))
    if max(_loads(seconds, balanced)) > room.seconds:
        balanced = _first_fit(seconds, room)
    return _tasks(seconds, balanced, room.lanes)


def _spread(seconds: Sequence[float], lanes: int) -> list[list[int]]:
    """The longest first, each on the lane with the least to do."""
    heap = [(0.0, lane) for lane in range(lanes)]
    found: list[list[int]] = [[] for _ in range(lanes)]
    for index in _longest_first(seconds):
        load, lane = heapq.heappop(heap)
        found[lane].append(index)
        heapq.heappush(heap, (load + seconds[index], lane))
    return [lane for lane in found if lane]


def _lanes_that_fit(seconds: Sequence[float], room: Room) -> int:
    """As many lanes as first fit needs, in whole tasks."""
    return math.ceil(len(_first_fit(seconds, room)) / room.lanes) * room.lanes


def _first_fit(seconds: Sequence[float], room: Room) -> list[list[int]]:
    """The longest first, each on the first lane that has room: 11/9 of the fewest lanes at most, and a bit."""
    found: list[list[int]] = []
    loads: list[float] = []
    for index in _longest_first(seconds):
        lane = next((lane for lane, load in enumerate(loads) if load + seconds[index] <= room.seconds), len(loads))
        if lane == len(loads):
            found.append([])
            loads.append(0.0)
        found[lane].append(index)
        loads[lane] += seconds[index]
    return found


def _tasks(seconds: Sequence[float], lanes: list[list[int]], width: int) -> list[Bundle]:
    """Lanes of like length side by side, and the tasks in the order of their first units."""
    loads = _loads(seconds, lanes)
    order = sorted(range(len(lanes)), key=lambda lane: (-loads[lane], min(lanes[lane])))
    groups = [[lanes[lane] for lane in order[start : start + width]] for start in range(0, len(order), width)]
    found = [
        Bundle(_starting_order(seconds, group), TASK_START_SECONDS + max(_loads(seconds, group))) for group in groups
    ]
    return sorted(found, key=lambda one: min(one.units))


def _starting_order(seconds: Sequence[float], lanes: list[list[int]]) -> tuple[int, ...]:
    """Units by the time at which they start: who takes the next one whenever a lane is free keeps to the lanes."""
    starts: list[tuple[float, int]] = []
    for lane in lanes:
        clock = 0.0
        for index in sorted(lane):
            starts.append((clock, index))
            clock += seconds[index]
    return tuple(index for _, index in sorted(starts))


def _loads(seconds: Sequence[float], lanes: list[list[int]]) -> list[float]:
    return [math.fsum(seconds[index] for index in lane) for lane in lanes]


def _longest_first(seconds: Sequence[float]) -> list[int]:
    return sorted(range(len(seconds)), key=lambda index: (-seconds[index], index))
