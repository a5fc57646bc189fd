"""Expected times of runs: as the cluster file says, as finished runs took, or by a constant factor."""

from __future__ import annotations

from collections.abc import Sequence

from harness.execution.estimate import cost_of, typical_rates
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.records.status import share_of
from harness.slurm.cluster import LoadedCluster
from harness.slurm.packing import PlannedTask, TaskRoom, pack_tasks

OVERHEAD = 1.5
"""Wall seconds per device second before anything is measured: validations, checkpoints, tests, a busy node."""
RUN_START_SECONDS = 30.0
"""From the start of a run's process to its first step."""


def plan_tasks(
    runs: Sequence[Run], names: Sequence[str], records: SuiteRecords, loaded: LoadedCluster
) -> list[PlannedTask]:
    """Pack `runs` into tasks that fit the cluster's time limit.

    names: of the runs, for messages. A run of unknown length (in steps, none finished yet) gets a lane of its own.
    Raises `UsageError` if one run does not fit.
    """
    cluster = loaded.cluster
    room = _room(loaded, cluster.time)
    if room.seconds <= 0:
        raise loaded.error("time", f"{cluster.time} minutes leave no room for a run after start and last checkpoint")
    known = expected_seconds(runs, records, loaded)
    seconds = [room.seconds if expected is None else expected for expected in known]
    try:
        return pack_tasks(seconds, room, cluster.max_parallel)
    except ValueError as error:
        longest = int(error.args[0])
    needed = next(
        minutes for minutes in range(cluster.time, 10**7) if _room(loaded, minutes).seconds >= seconds[longest]
    )
    raise loaded.error(
        "time",
        f"too short for one run: {names[longest]} ({runs[longest].budget}) is expected to take "
        f"{seconds[longest] / 60:.0f} minutes, {cluster.time} minutes leave {room.seconds / 60:.0f} after its start, "
        f"a margin and the last checkpoint; set time: {needed} or more, or run_time if you know better",
    )


def _room(loaded: LoadedCluster, minutes: int) -> TaskRoom:
    """What a task with this time limit has for its runs."""
    cluster = loaded.cluster.model_copy(update={"time": minutes})
    return TaskRoom.within(minutes * 60.0, cluster.warning_seconds, cluster.runs_at_once)


def expected_seconds(runs: Sequence[Run], records: SuiteRecords, loaded: LoadedCluster) -> list[float | None]:
    """Return the wall seconds that are left of each run, its start included; None if unknown."""
    shares = [1.0 - share_of(run.budget, records.run(run.id).spent) for run in runs]
    if loaded.cluster.run_time is not None:
        return [loaded.cluster.run_time * 60.0 * share for share in shares]
    rates = typical_rates(records)
    expected: list[float | None] = []
    for run, share in zip(runs, shares, strict=True):
        rate = rates.get(cost_of(run), OVERHEAD if run.budget.device_seconds is not None else None)
        expected.append(None if rate is None else run.budget.amount * rate * share + RUN_START_SECONDS)
    return expected
