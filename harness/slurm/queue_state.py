"""Where the units that have no result stand: with Slurm, or with nobody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.records.schema import Unit
from harness.slurm.queue import Queue, Task
from harness.slurm.record import Submission, Submissions


@dataclass(frozen=True)
class Standing:
    """Units without a result, in the plan's order.

    queued:  in an array task that waits or runs, or run by some other process.
    missing: in none; those are submitted.
    """

    queued: tuple[Unit, ...]
    missing: tuple[Unit, ...]

    @classmethod
    def of(
        cls, pending: Sequence[Unit], submissions: Sequence[Submission], queue: Queue, held: Collection[str] = ()
    ) -> Standing:
        """Sort units by what the controller says of the tasks that they are in; held: ids of those that run anyway."""
        active = {unit for unit, task in unit_tasks(submissions, queue).items() if task.active} | set(held)
        queued = tuple(unit for unit in pending if unit.id in active)
        return cls(queued, tuple(unit for unit in pending if unit.id not in active))


def unit_tasks(submissions: Sequence[Submission], queue: Queue) -> dict[str, Task]:
    """Unit id -> the task that it is in: an active one, if any is, else the last that the controller remembers."""
    found: dict[str, Task] = {}
    for submission in submissions:
        for index, bundle in enumerate(submission.bundles):
            task = queue.get((submission.name, index))
            for unit in bundle if task is not None else ():
                if task is not None and (unit not in found or task.active or not found[unit].active):
                    found[unit] = task
    return found


def unsettled(submissions: Submissions) -> list[Submission]:
    """Jobs that may have something left to do: arrays with a unit that has no result, and those that finish."""
    done: dict[str, bool] = {}

    def ended(unit: str) -> bool:
        if unit not in done:
            done[unit] = submissions.store.by_id(unit).done
        return done[unit]

    return [one for one in submissions if not one.bundles or not all(ended(u) for b in one.bundles for u in b)]
