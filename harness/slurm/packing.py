"""Packs runs into array tasks that fit a time limit: balanced, and the same tasks for the same runs."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

MARGIN = 0.1
"""Share of the time limit that is left free, because expected times are estimates."""
TASK_START_SECONDS = 60.0
"""From the start of an array task to the start of its first run: modules, imports, the plan, the data."""
WORTHWHILE_SECONDS = 600.0
"""Least seconds of runs in a task that is made only to have more tasks at once: each task pays for its start."""


@dataclass(frozen=True)
class PlannedTask:
    """The runs of one array task.

    runs:    positions in the list that was packed, in the order in which they start.
    seconds: expected wall seconds of the task, its start included.
    """

    runs: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class TaskRoom:
    """What a task offers its runs.

    seconds: wall seconds for runs: the time limit without its margin, the warning and the task's start.
    lanes:   how many runs it runs side by side.
    """

    seconds: float
    lanes: int = 1

    @classmethod
    def within(cls, time_seconds: float, warning_seconds: float, lanes: int = 1) -> TaskRoom:
        """Room of a task with this time limit that is signalled to checkpoint `warning_seconds` before it."""
        return cls(time_seconds * (1.0 - MARGIN) - warning_seconds - TASK_START_SECONDS, lanes)


def pack_tasks(seconds: Sequence[float], room: TaskRoom, parallel: int) -> list[PlannedTask]:
    """Pack runs into the fewest tasks that hold them, or into more where these can run at once.

    Args:
        seconds: expected wall seconds of each run.
        room: what each task offers.
        parallel: tasks that may run at once. Up to so many are made while each has `WORTHWHILE_SECONDS` of runs.

    Raises:
        ValueError: a run is longer than the room; its argument is the position of the run.
    """
    if not seconds:
        return []
    longest = max(range(len(seconds)), key=lambda index: seconds[index])
    if seconds[longest] > room.seconds:
        raise ValueError(longest)
    total, long = sum(seconds), sum(run_seconds > room.seconds / 2 for run_seconds in seconds)
    worthwhile = min(parallel, int(total / (room.lanes * WORTHWHILE_SECONDS)), math.ceil(len(seconds) / room.lanes))
    fewest = max(math.ceil(total / (room.lanes * room.seconds)), math.ceil(long / room.lanes))
    tasks = max(worthwhile, fewest, 1)
    while max(_loads(seconds, lanes := _fill_lanes(seconds, tasks * room.lanes))) > room.seconds:
        tasks += 1  # ends at the latest with a lane for each run
    return _join_lanes(seconds, lanes, room.lanes)


def _fill_lanes(seconds: Sequence[float], lanes: int) -> list[list[int]]:
    """Place the longest run first, each on the lane with the least load."""
    heap = [(0.0, lane) for lane in range(lanes)]
    runs: list[list[int]] = [[] for _ in range(lanes)]
    for index in sorted(range(len(seconds)), key=lambda index: (-seconds[index], index)):
        load, lane = heapq.heappop(heap)
        runs[lane].append(index)
        heapq.heappush(heap, (load + seconds[index], lane))
    return [lane for lane in runs if lane]


def _join_lanes(seconds: Sequence[float], lanes: list[list[int]], width: int) -> list[PlannedTask]:
    """Put lanes of similar length into one task, and order the tasks by their first runs."""
    loads = _loads(seconds, lanes)
    order = sorted(range(len(lanes)), key=lambda lane: (-loads[lane], min(lanes[lane])))
    groups = [[lanes[lane] for lane in order[start : start + width]] for start in range(0, len(order), width)]
    walls = [TASK_START_SECONDS + max(_loads(seconds, group)) for group in groups]
    tasks = [PlannedTask(_order_by_start(seconds, group), wall) for group, wall in zip(groups, walls, strict=True)]
    return sorted(tasks, key=lambda task: min(task.runs))


def _order_by_start(seconds: Sequence[float], lanes: list[list[int]]) -> tuple[int, ...]:
    """Order runs by their start: a task that gives each free lane the next run then reproduces the lanes."""
    starts: list[tuple[float, int]] = []
    for lane in lanes:
        clock = 0.0
        for index in sorted(lane):
            starts.append((clock, index))
            clock += seconds[index]
    return tuple(index for _, index in sorted(starts))


def _loads(seconds: Sequence[float], lanes: list[list[int]]) -> list[float]:
    return [math.fsum(seconds[index] for index in lane) for lane in lanes]
