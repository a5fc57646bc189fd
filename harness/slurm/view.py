"""Records and queue together: who waits, who runs where, whose job is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.api.errors import ServiceError
from harness.execution.dry_run import DryRun
from harness.records.reader import SuiteRecords
from harness.records.status import RunStatus, State, SuiteStatus
from harness.slurm.client import SlurmRefusedError
from harness.slurm.queue import Queue, Task, ask_ends, ask_queue, identified
from harness.slurm.queue_state import QueueState
from harness.slurm.record import Submission, unsettled

ASK_SECONDS = 60.0
"""The controller serves everybody: those who watch ask it so often at most."""


@dataclass(frozen=True)
class Seen:
    """What the controller said, and when.

    asked:   names of the jobs that it was asked for, those whose ids were on record.
    ends:    how tasks ended that it has forgotten, by the accounting: 55_2 -> TIMEOUT.
    trouble: why it could not be asked.
    """

    queue: Queue
    at: float
    asked: frozenset[str] = frozenset()
    ends: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


class SuiteWatch:
    """Merges a suite's records with what Slurm says of its jobs, asking at most once every `ASK_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: Seen | None = None

    def merge(self, status: SuiteStatus, records: SuiteRecords) -> tuple[SuiteStatus, str]:
        """The status with what Slurm knows, and why it could not be asked, if so. Asks only while something is left."""
        if all(run.state in ("done", "failed") for _, run in status.runs):
            return status, ""
        submissions = unsettled(records)
        if not any(submission.tasks for submission in submissions):
            return status, ""
        seen = self.validation(submissions)
        known = identified(submissions, seen.queue)
        last = {run: (array, index) for array in known for index, task in enumerate(array.tasks) for run in task}
        runs = tuple((name, _placed(run, records, last, seen)) for name, run in status.runs)
        return replace(status, runs=runs), seen.trouble

    def validation(self, submissions: Sequence[Submission]) -> Seen:
        """The queue as it is, or as it was less than a minute ago; what it was before where Slurm does not answer."""
        now = self._clock()
        if self._seen is None or now - self._seen.at >= ASK_SECONDS:
            try:
                queue = ask_queue(submissions)
                names = frozenset(submission.name for submission in submissions if submission.job is not None)
                self._seen = Seen(queue, now, names, ask_ends(forgotten(submissions, queue)))
            except (ServiceError, SlurmRefusedError) as error:
                last = self._seen or Seen({}, now)
                self._seen = replace(last, at=now, trouble=str(error))
        return self._seen


def forgotten(submissions: Sequence[Submission], queue: Queue) -> list[str]:
    """Ids of arrays with tasks that the controller no longer remembers."""
    arrays = (submission for submission in submissions if submission.job)
    return sorted(
        {
            array.job or ""
            for array in arrays
            if any((array.name, index) not in queue for index in range(len(array.tasks)))
        }
    )


def _placed(
    status: RunStatus, records: SuiteRecords, last: Mapping[str, tuple[Submission, int]], seen: Seen
) -> RunStatus:
    """One run's status with what Slurm knows. last: run -> its last submission, and the index of its task."""
    if status.state in ("done", "failed") or status.run not in last:
        return status
    submission, index = last[status.run]
    task, name = seen.queue.get((submission.name, index)), submission.task_of(index)
    if task is None and seen.trouble:
        return status
    if task is None and submission.name not in seen.asked:
        running = status.state == "running"
        return status if running else replace(status, state="queued", note=f"job {name} was just submitted")
    if status.state == "running":  # by whom? a fresh heartbeat may be another process's, or a dead one's
        holder = records.run(status.run).folder.lease.holder()
        if task is None or holder is None or holder.job != task.job:
            return status
    return with_task(status, name, task, seen.ends.get(name, ""))


def with_task(status: RunStatus, name: str, task: Task | None, end: str) -> RunStatus:
    """One run's status with its array task's, which is called `name`; end: how a forgotten one ended."""
    if task is None or not task.active:
        return _gone(status, name, end if task is None else task.state)
    if task.waiting:
        because = f", {task.reason}" if task.reason else ""
        return replace(status, state="queued", note=f"job {name} waits{because}")
    return _running(status, name, task)


def _running(status: RunStatus, name: str, task: Task) -> RunStatus:
    where = f"job {name} on {task.node}" if task.node else f"job {name}"
    if task.state == "COMPLETING":  # for good, or to be requeued
        return replace(status, note=f"{where}, ends just now")
    if status.state == "running":
        return replace(status, note=f"{where}, {status.note.rpartition(', ')[2]}")
    return replace(status, state="queued", note=f"{where}, starts, or waits for others of its task")


def _gone(status: RunStatus, name: str, end: str) -> RunStatus:
    """Its job ended without it: a heartbeat that is still fresh is that of a dead process."""
    state: State = "interrupted" if status.spent.attempts else "to run"
    ended = f" ({end})" if end else ""
    return replace(status, state=state, note=f"job {name} is gone{ended}; `harness run` submits it again")


def with_queued(dry_run: DryRun) -> DryRun:
    """A dry run with the runs that wait or run with Slurm; one call of squeue if something was submitted."""
    submissions = unsettled(SuiteRecords(dry_run.store))
    if dry_run.states is None or not any(submission.tasks for submission in submissions):
        return dry_run
    queue = ask_queue(submissions)
    queued = QueueState.of(dry_run.pending, identified(submissions, queue), queue).queued
    states = dict(dry_run.states)
    states |= {run.id: "queued" for run in queued if states[run.id] != "running"}
    return replace(dry_run, states=states)
