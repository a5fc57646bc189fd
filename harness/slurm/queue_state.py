"""Queue state of unfinished runs: those that wait or run in jobs, and those that are in no job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.records.schema import Run
from harness.slurm.queue import Queue, Task
from harness.slurm.record import Submission


@dataclass(frozen=True)
class QueueState:
    """Runs without a result, in the plan's order, by the queue state of their tasks.

    queued:   in an array task that waits or runs, or run by some other process.
    missing:  in no task; these are to be submitted.
    arrays:   ids of the arrays with tasks that wait or run.
    followed: whether a dependent job waits or runs.
    """

    queued: tuple[Run, ...]
    missing: tuple[Run, ...]
    arrays: tuple[str, ...]
    followed: bool

    @classmethod
    def of(
        cls, pending: Sequence[Run], submissions: Sequence[Submission], queue: Queue, held: Collection[str] = ()
    ) -> QueueState:
        """Sort pending runs by their state. held: ids of runs whose lease a process holds."""
        busy = {run for run, task in map_runs_to_tasks(submissions, queue).items() if task.active} | set(held)
        active = [(index, task) for (_, index), task in queue.items() if task.active]
        return cls(
            queued=tuple(run for run in pending if run.id in busy),
            missing=tuple(run for run in pending if run.id not in busy),
            arrays=tuple(sorted({task.array for index, task in active if index is not None})),
            followed=any(index is None for index, _ in active),
        )


def map_runs_to_tasks(submissions: Sequence[Submission], queue: Queue) -> dict[str, Task]:
    """Return run id -> its task: an active one if there is one, else the last that the controller remembers."""
    tasks: dict[str, Task] = {}
    for submission in submissions:
        for index, runs in enumerate(submission.tasks):
            task = queue.get((submission.name, index))
            if task is not None:
                tasks |= {run: task for run in runs if run not in tasks or task.active or not tasks[run].active}
    return tasks
