"""Records and queue together: who waits, who runs where, whose job is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.execution.dry_run import Outlook
from harness.records.reader import SuiteRecords
from harness.records.status import State, SuiteStatus, UnitStatus
from harness.slurm.queue import Seen, Task, Watched, ask_queue, identified
from harness.slurm.queue_state import QueueState
from harness.slurm.record import Submission, unsettled


class SuiteWatch:
    """Merges a suite's records with what Slurm says of its jobs, asking at most once a minute."""

    def __init__(self) -> None:
        self._watched = Watched()

    def merge(self, status: SuiteStatus, records: SuiteRecords) -> tuple[SuiteStatus, str]:
        """The status with what Slurm knows, and why it could not be asked, if so. Asks only while something is left."""
        if all(unit.state in ("done", "failed") for _, unit in status.units):
            return status, ""
        submissions = unsettled(records)
        if not any(submission.tasks for submission in submissions):
            return status, ""
        seen = self._watched.look(submissions)
        known = identified(submissions, seen.queue)
        last = {unit: (one, index) for one in known for index, task in enumerate(one.tasks) for unit in task}
        units = tuple((name, _placed(unit, records, last, seen)) for name, unit in status.units)
        return replace(status, units=units), seen.trouble


def _placed(
    status: UnitStatus, records: SuiteRecords, last: Mapping[str, tuple[Submission, int]], seen: Seen
) -> UnitStatus:
    """One unit's status with what Slurm knows. last: unit -> its last submission, and the index of its task."""
    if status.state in ("done", "failed") or status.unit not in last:
        return status
    submission, index = last[status.unit]
    task, name = seen.queue.get((submission.name, index)), submission.task_of(index)
    if task is None and seen.trouble:
        return status
    if task is None and submission.name not in seen.asked:
        running = status.state == "running"
        return status if running else replace(status, state="queued", note=f"job {name} was just submitted")
    if status.state == "running":  # by whom? a fresh heartbeat may be another process's, or a dead one's
        holder = records.run(status.unit).folder.lease.holder()
        if task is None or holder is None or holder.job != task.job:
            return status
    return with_task(status, name, task, seen.ends.get(name, ""))


def with_task(status: UnitStatus, name: str, task: Task | None, end: str) -> UnitStatus:
    """One unit's status with its array task's, which is called `name`; end: how a forgotten one ended."""
    if task is None or not task.active:
        return _gone(status, name, end if task is None else task.state)
    if task.waiting:
        because = f", {task.reason}" if task.reason else ""
        return replace(status, state="queued", note=f"job {name} waits{because}")
    return _running(status, name, task)


def _running(status: UnitStatus, name: str, task: Task) -> UnitStatus:
    where = f"job {name} on {task.node}" if task.node else f"job {name}"
    if task.state == "COMPLETING":  # for good, or to be requeued
        return replace(status, note=f"{where}, ends just now")
    if status.state == "running":
        return replace(status, note=f"{where}, {status.note.rpartition(', ')[2]}")
    return replace(status, state="queued", note=f"{where}, starts, or waits for others of its task")


def _gone(status: UnitStatus, name: str, end: str) -> UnitStatus:
    """Its job ended without it: a heartbeat that is still fresh is that of a dead process."""
    state: State = "stopped" if status.spent.attempts else "to run"
    ended = f" ({end})" if end else ""
    return replace(status, state=state, note=f"job {name} is gone{ended}; `harness run` submits it again")


def with_queued(outlook: Outlook) -> Outlook:
    """A plan's outlook with the units that wait or run with Slurm; one call of squeue if something was submitted."""
    submissions = unsettled(SuiteRecords(outlook.store))
    if outlook.states is None or not any(submission.tasks for submission in submissions):
        return outlook
    queue = ask_queue(submissions)
    queued = QueueState.of(outlook.pending, identified(submissions, queue), queue).queued
    states = dict(outlook.states)
    states |= {unit.id: "queued" for unit in queued if states[unit.id] != "running"}
    return replace(outlook, states=states)
