"""Records and queue together: which runs wait, which run where, and which lost their jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.api.errors import ServiceError
from harness.records.reader import SuiteRecords
from harness.records.status import RunStatus, State, SuiteStatus
from harness.slurm.client import SlurmRefusedError
from harness.slurm.queue import Queue, QueueState, Task, ask_ends, ask_queue, identify
from harness.slurm.record import Submission, unsettled

if TYPE_CHECKING:
    from harness.execution.dry_run import DryRun

ASK_SECONDS = 60.0
"""Least seconds between two questions to the controller, which serves all users."""


@dataclass(frozen=True)
class QueueAnswer:
    """The controller's answer, and when it came.

    names:   of the jobs in the question whose ids were on record.
    ends:    how forgotten tasks ended, by the accounting: 55_2 -> TIMEOUT.
    trouble: why it could not be asked.
    """

    queue: Queue
    at: float
    names: frozenset[str] = frozenset()
    ends: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


class SuiteWatch:
    """Merges a suite's records with what Slurm says of its jobs, asking at most once every `ASK_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answer: QueueAnswer | None = None

    def merge(self, status: SuiteStatus, records: SuiteRecords) -> tuple[SuiteStatus, str]:
        """Return the status with the queue, and why Slurm did not answer, if so. Asks only while runs are left."""
        submissions = [] if all(run.state in ("done", "failed") for _, run in status.runs) else unsettled(records)
        if status.before:
            submissions = [each for each in unsettled(records) if each.kind == "calibrate"][-1:]
            return self._calibrating(status, submissions)
        if not any(submission.tasks for submission in submissions):
            return status, ""
        answer = self.ask(submissions)
        known = identify(submissions, answer.queue)
        last = {run: (array, index) for array in known for index, task in enumerate(array.tasks) for run in task}
        runs = tuple((name, _with_slurm(run, records, last, answer)) for name, run in status.runs)
        return replace(status, runs=runs), answer.trouble

    def _calibrating(self, status: SuiteStatus, submissions: Sequence[Submission]) -> tuple[SuiteStatus, str]:
        """Return the status with what the job that calibrates waits for. submissions: that job, or nothing."""
        if not submissions:
            return status, ""
        answer = self.ask(submissions)
        task = answer.queue.get((submissions[0].name, None))
        if task is None or not task.active:
            return status, answer.trouble
        because = f" ({task.reason})" if task.reason else ""
        state = f"waits{because}" if task.waiting else f"runs on {task.node}"
        before = f"calibration job {task.job} {state}; its runs are planned and submitted after it"
        return replace(status, before=before), answer.trouble

    def ask(self, submissions: Sequence[Submission]) -> QueueAnswer:
        """Return an answer at most a minute old; if Slurm does not answer, the last one with the reason."""
        now = self._clock()
        if self._answer is None or now - self._answer.at >= ASK_SECONDS:
            try:
                queue = ask_queue(submissions)
                jobs = {array.name: array.job for array in submissions if array.job}
                tasks = [(array.name, index) for array in submissions for index in range(len(array.tasks))]
                forgotten = {jobs[name] for name, index in tasks if name in jobs and (name, index) not in queue}
                self._answer = QueueAnswer(queue, now, frozenset(jobs), ask_ends(sorted(forgotten)))
            except (ServiceError, SlurmRefusedError) as error:
                last = self._answer or QueueAnswer({}, now)
                self._answer = replace(last, at=now, trouble=str(error))
        return self._answer


def _with_slurm(
    status: RunStatus, records: SuiteRecords, last: Mapping[str, tuple[Submission, int]], answer: QueueAnswer
) -> RunStatus:
    """Return one run's status with what Slurm knows. last: run -> its last submission, and the index of its task."""
    if status.state in ("done", "failed") or status.run not in last:
        return status
    submission, index = last[status.run]
    task, name = answer.queue.get((submission.name, index)), submission.task_of(index)
    if task is None and answer.trouble:
        return status
    if task is None and submission.name not in answer.names:
        running = status.state == "running"
        return status if running else replace(status, state="queued", note=f"job {name} was just submitted")
    if status.state == "running":  # a fresh heartbeat may be of another process, or of a dead one
        holder = records.run(status.run).folder.lease.holder()
        if task is None or holder is None or holder.job != task.job:
            return status
    return with_task(status, name, task, answer.ends.get(name, ""))


def with_task(status: RunStatus, name: str, task: Task | None, end: str) -> RunStatus:
    """Return one run's status with that of its array task `name`. end: how a forgotten task ended."""
    if task is None or not task.active:  # a heartbeat that is still fresh is of a dead process
        state: State = "interrupted" if status.spent.attempts else "to run"
        how = end if task is None else task.state
        ended = f" ({how})" if how else ""
        return replace(status, state=state, note=f"job {name} is gone{ended}; `harness run` submits it again")
    if task.waiting:
        because = f", {task.reason}" if task.reason else ""
        return replace(status, state="queued", note=f"job {name} waits{because}")
    where = f"job {name} on {task.node}" if task.node else f"job {name}"
    if task.state == "COMPLETING":  # for good, or to be requeued
        return replace(status, note=f"{where}, ends just now")
    if status.state == "running":
        return replace(status, note=f"{where}, {status.note.rpartition(', ')[2]}")
    return replace(status, state="queued", note=f"{where}, starts, or waits for others of its task")


def with_queued(dry_run: DryRun) -> DryRun:
    """Return a plan's dry run with the runs that wait or run in jobs; one call of squeue at most."""
    submissions = unsettled(SuiteRecords(dry_run.store))
    if dry_run.states is None or not any(submission.tasks for submission in submissions):
        return dry_run
    queue = ask_queue(submissions)
    queued = QueueState.of(dry_run.pending, identify(submissions, queue), queue).queued
    states = dict(dry_run.states)
    states |= {run.id: "queued" for run in queued if states[run.id] != "running"}
    return replace(dry_run, states=states)
