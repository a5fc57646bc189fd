"""Packs runs into array tasks that fit a time limit: balanced, and the same tasks for the same runs.

Expected times of runs are as the cluster file says, as finished runs took, or by a constant factor.
"""

import heapq
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.execution.dry_run import cost_of, typical_rates
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.records.status import share_of
from harness.slurm.cluster import Cluster, LoadedCluster

MARGIN = 0.1
"""Share of the time limit that is left free, because expected times are estimates."""
TASK_START_SECONDS = 60.0
"""From the start of an array task to the start of its first run: modules, imports, the plan, the data."""
WORTHWHILE_SECONDS = 600.0
"""Least seconds of runs in a task that is made only to have more tasks at once: each task pays for its start."""
OVERHEAD = 1.5
"""Wall seconds per device second before anything is measured: validations, checkpoints, tests, a busy node."""
RUN_START_SECONDS = 30.0
"""From the start of a run's process to its first step."""


@dataclass(frozen=True)
class PlannedTask:
    """The runs of one array task, by their positions in the list, and its expected wall seconds."""

    runs: tuple[int, ...]
    seconds: float


def room_seconds(cluster: Cluster) -> float:
    """A task's wall seconds for runs: the time limit without its margin, the warning and the task's start."""
    return cluster.time * 60.0 * (1.0 - MARGIN) - cluster.warning_seconds - TASK_START_SECONDS


def plan_tasks(
    runs: Sequence[Run],
    names: Sequence[str],
    records: SuiteRecords,
    loaded: LoadedCluster,
    step_seconds: float | None = None,
) -> list[PlannedTask]:
    """Pack `runs` into tasks that fit the cluster's time limit. Raises `UsageError` if one does not fit.

    names: of the runs, for messages. step_seconds: of a reference step, by the calibration. A run of unknown length (in
    steps, none finished yet) fills a task's time.
    """
    cluster = loaded.cluster
    room = room_seconds(cluster)
    if room <= 0:
        raise loaded.error(("time",), f"{cluster.time} minutes leave no room for a run after start and last checkpoint")
    seconds = [room if known is None else known for known in expected_seconds(runs, records, loaded, step_seconds)]
    longest = max(range(len(runs)), key=lambda index: seconds[index], default=None)
    if longest is None or seconds[longest] <= room:
        return pack_tasks(seconds, room, cluster.runs_at_once, cluster.max_parallel)
    limits = range(cluster.time, 10**7)
    needed = next(m for m in limits if room_seconds(cluster.model_copy(update={"time": m})) >= seconds[longest])
    raise loaded.error(
        ("time",),
        f"too short for one run: {names[longest]} ({runs[longest].budget}) is expected to take "
        f"{seconds[longest] / 60:.0f} minutes, {cluster.time} minutes leave {room / 60:.0f} after its start, "
        f"a margin and the last checkpoint; set time: {needed} or more, or run_time if you know better",
    )


def expected_seconds(
    runs: Sequence[Run], records: SuiteRecords, loaded: LoadedCluster, step_seconds: float | None = None
) -> list[float | None]:
    """The wall seconds that are left of each run, its start included; None if unknown."""
    shares = [1.0 - share_of(run.budget, records.run(run.id).spent) for run in runs]
    if loaded.cluster.run_time is not None:
        return [loaded.cluster.run_time * 60.0 * share for share in shares]
    rates = typical_rates(records)
    unmeasured = {
        "device_seconds": OVERHEAD,
        "reference_steps": None if step_seconds is None else OVERHEAD * step_seconds,
    }
    expected: list[float | None] = []
    for run, share in zip(runs, shares, strict=True):
        rate = rates.get(cost_of(run), unmeasured.get(run.budget.currency))
        expected.append(None if rate is None else run.budget.amount * rate * share + RUN_START_SECONDS)
    return expected


def pack_tasks(seconds: Sequence[float], room: float, lanes: int, parallel: int) -> list[PlannedTask]:
    """Pack runs into the fewest tasks that hold them, or into more where these can run at once.

    seconds:  expected wall seconds of each run; none is longer than the room.
    room:     wall seconds that each task has for runs.
    lanes:    how many runs a task runs side by side.
    parallel: tasks that may run at once. Up to so many are made while each has `WORTHWHILE_SECONDS` of runs.
    """
    if not seconds:
        return []
    total = sum(seconds)
    worthwhile = min(parallel, int(total / (lanes * WORTHWHILE_SECONDS)), math.ceil(len(seconds) / lanes))
    count = max(worthwhile, math.ceil(total / (lanes * room)), _fewest_lanes(seconds, room) // lanes, 1)
    while True:  # ends at the latest with a task for each run
        shares = _share_out(seconds, range(len(seconds)), count)
        tasks = [PlannedTask(tuple(share), TASK_START_SECONDS + _wall(seconds, share, lanes)) for share in shares]
        if max(task.seconds for task in tasks) <= TASK_START_SECONDS + room:
            return sorted(tasks, key=lambda task: min(task.runs))
        count += 1


def _fewest_lanes(seconds: Sequence[float], room: float) -> int:
    """A lower limit: of runs that take more than 1 / (n + 1) of the room, no lane holds more than n."""
    longest = sorted(seconds, reverse=True)
    return max(bisect_left(longest, -room / (n + 1), key=lambda each: -each) // n for n in range(1, 10))


def _share_out(seconds: Sequence[float], runs: Iterable[int], count: int) -> list[list[int]]:
    """Deal runs out into so many shares: the longest run first, each to the share with the least load."""
    heap = [(0.0, number) for number in range(count)]
    shares: list[list[int]] = [[] for _ in range(count)]
    for index in sorted(runs, key=lambda index: (-seconds[index], index)):
        load, number = heapq.heappop(heap)
        shares[number].append(index)
        heapq.heappush(heap, (load + seconds[index], number))
    return [share for share in shares if share]


def _wall(seconds: Sequence[float], runs: Sequence[int], lanes: int) -> float:
    """What runs take that start in their order, each on the first lane that is free."""
    return max(math.fsum(seconds[index] for index in lane) for lane in _share_out(seconds, runs, lanes))
