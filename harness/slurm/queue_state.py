"""Queue state of unfinished units: those that wait or run with Slurm, and those that no job holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.records.schema import Unit
from harness.slurm.queue import Queue, Task
from harness.slurm.record import Submission


@dataclass(frozen=True)
class QueueState:
    """Units without a result, in the plan's order, by what the controller says of the tasks that they are in.

    queued:   in an array task that waits or runs, or run by some other process.
    missing:  in none; those are submitted.
    arrays:   ids of the arrays with tasks that wait or run.
    followed: whether a dependent job waits or runs.
    """

    queued: tuple[Unit, ...]
    missing: tuple[Unit, ...]
    arrays: tuple[str, ...]
    followed: bool

    @classmethod
    def of(
        cls, pending: Sequence[Unit], submissions: Sequence[Submission], queue: Queue, held: Collection[str] = ()
    ) -> QueueState:
        """Sort units. held: ids of those that some process runs, whatever the controller says."""
        busy = {unit for unit, task in unit_tasks(submissions, queue).items() if task.active} | set(held)
        active = [(index, task) for (_, index), task in queue.items() if task.active]
        return cls(
            queued=tuple(unit for unit in pending if unit.id in busy),
            missing=tuple(unit for unit in pending if unit.id not in busy),
            arrays=tuple(sorted({task.array for index, task in active if index is not None})),
            followed=any(index is None for index, _ in active),
        )


def unit_tasks(submissions: Sequence[Submission], queue: Queue) -> dict[str, Task]:
    """Unit id -> the task that it is in: an active one, if any is, else the last that the controller remembers."""
    tasks: dict[str, Task] = {}
    for submission in submissions:
        for index, units in enumerate(submission.tasks):
            task = queue.get((submission.name, index))
            if task is not None:
                tasks |= {unit: task for unit in units if unit not in tasks or task.active or not tasks[unit].active}
    return tasks
