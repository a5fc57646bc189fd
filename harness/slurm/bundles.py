"""Bundles of runs that fit a time limit, one for each array task: pure, balanced, and the same for the same units."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.1
"""Share of the time limit that is left free: expectations are not promises."""
TASK_START_SECONDS = 60.0
"""From the start of an array task to the start of its first run: modules, imports, the plan, the data."""
WORTHWHILE_SECONDS = 600.0
"""Shorter bundles than this are not made for the sake of more tasks at once: each pays for its start."""


@dataclass(frozen=True)
class Bundle:
    """What one array task runs.

    runs:   positions in the list that was bundled, in the order in which they start.
    seconds: expected wall seconds of the task, its start included.
    """

    runs: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Room:
    """What a task has for its runs.

    seconds: wall seconds for runs: the time limit without its margin, the warning and the task's start.
    lanes:   runs side by side.
    """

    seconds: float
    lanes: int = 1

    @classmethod
    def within(cls, time_seconds: float, warning_seconds: float, lanes: int = 1) -> Room:
        """Of a task with this time limit that is told to checkpoint so long before it."""
        return cls(time_seconds * (1.0 - MARGIN) - warning_seconds - TASK_START_SECONDS, lanes)


def bundle(seconds: Sequence[float], room: Room, parallel: int) -> list[Bundle]:
    """Spread runs, given their expected wall seconds, over as few tasks as fit, or more where these run side by side.

    parallel: tasks that may run at once; up to so many are made as long as they stay worth their start.

    Raises:
        ValueError: a run is longer than the room; told by its position.
    """
    if not seconds:
        return []
    longest = max(range(len(seconds)), key=lambda index: seconds[index])
    if seconds[longest] > room.seconds:
        raise ValueError(longest)
    total, long = sum(seconds), sum(each > room.seconds / 2 for each in seconds)
    worthwhile = min(parallel, int(total / (room.lanes * WORTHWHILE_SECONDS)), math.ceil(len(seconds) / room.lanes))
    fewest = max(math.ceil(total / (room.lanes * room.seconds)), math.ceil(long / room.lanes))
    tasks = max(worthwhile, fewest, 1)
    while max(_loads(seconds, lanes := _spread(seconds, tasks * room.lanes))) > room.seconds:
        tasks += 1  # ends at the latest with a lane for each run
    return _tasks(seconds, lanes, room.lanes)


def _spread(seconds: Sequence[float], lanes: int) -> list[list[int]]:
    """The longest first, each on the lane with the least to do."""
    heap = [(0.0, lane) for lane in range(lanes)]
    runs: list[list[int]] = [[] for _ in range(lanes)]
    for index in sorted(range(len(seconds)), key=lambda index: (-seconds[index], index)):
        load, lane = heapq.heappop(heap)
        runs[lane].append(index)
        heapq.heappush(heap, (load + seconds[index], lane))
    return [lane for lane in runs if lane]


def _tasks(seconds: Sequence[float], lanes: list[list[int]], width: int) -> list[Bundle]:
    """Lanes of like length side by side, and the tasks in the order of their first runs."""
    loads = _loads(seconds, lanes)
    order = sorted(range(len(lanes)), key=lambda lane: (-loads[lane], min(lanes[lane])))
    groups = [[lanes[lane] for lane in order[start : start + width]] for start in range(0, len(order), width)]
    walls = [TASK_START_SECONDS + max(_loads(seconds, group)) for group in groups]
    tasks = [Bundle(_starting_order(seconds, group), wall) for group, wall in zip(groups, walls, strict=True)]
    return sorted(tasks, key=lambda task: min(task.runs))


def _starting_order(seconds: Sequence[float], lanes: list[list[int]]) -> tuple[int, ...]:
    """Runs by the time at which they start: who takes the next one whenever a lane is free keeps to the lanes."""
    starts: list[tuple[float, int]] = []
    for lane in lanes:
        clock = 0.0
        for index in sorted(lane):
            starts.append((clock, index))
            clock += seconds[index]
    return tuple(index for _, index in sorted(starts))


def _loads(seconds: Sequence[float], lanes: list[list[int]]) -> list[float]:
    return [math.fsum(seconds[index] for index in lane) for lane in lanes]
