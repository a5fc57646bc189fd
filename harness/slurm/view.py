"""Records and queue together: which runs wait, which run where, and which lost their jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from harness.api.errors import ServiceError
from harness.records.reader import SuiteRecords
from harness.records.status import RunStatus, State, SuiteStatus
from harness.slurm.client import SlurmRefusedError
from harness.slurm.nodes import End, NodeFailures, ask_ends
from harness.slurm.queue import Queue, QueueState, Task, ask_queue, identify
from harness.slurm.record import Submission, Submissions, unsettled

if TYPE_CHECKING:
    from harness.execution.dry_run import DryRun

ASK_SECONDS = 60.0
"""Least seconds between two questions to the controller, which serves all users."""


@dataclass(frozen=True)
class QueueAnswer:
    """The controller's answer, and when it came.

    names:   of the jobs in the question whose ids were on record.
    ends:    how tasks ended, by the accounting.
    trouble: why it could not be asked.
    """

    queue: Queue
    at: float
    names: frozenset[str] = frozenset()
    ends: Sequence[End] = ()
    trouble: str = ""

    @cached_property
    def last(self) -> Mapping[str, End]:
        """How the last start of each task ended."""
        return {end.task: end for end in self.ends}


class SuiteWatch:
    """Merges a suite's records with what Slurm says of its jobs, asking at most once every `ASK_SECONDS`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answer: QueueAnswer | None = None

    def merge(self, status: SuiteStatus, records: SuiteRecords) -> tuple[SuiteStatus, list[str]]:
        """The status with the queue, and a sentence for each thing that somebody must see to.

        Asks only while runs are left, or a leaderboard that the dependent job is to write.
        """
        left = status.before or any(run.state not in ("done", "failed") for _, run in status.runs)
        submissions = unsettled(records)
        if not submissions or not (left or _unranked(records, submissions)):
            return status, []
        answer = self.ask(submissions, Submissions(records.root))
        known = identify(submissions, answer.queue)
        notes = [f"jobs: unknown, {answer.trouble}"] if answer.trouble else list_troubles(known, answer, records)
        if status.before:
            return _calibrating(status, submissions, answer.queue), notes
        last = {run: (array, index) for array in known for index, task in enumerate(array.tasks) for run in task}
        runs = tuple((name, _with_slurm(run, records, last, answer)) for name, run in status.runs)
        return replace(status, runs=runs), notes

    def ask(self, submissions: Sequence[Submission], ended: Iterable[Submission] = ()) -> QueueAnswer:
        """An answer at most a minute old; if Slurm does not answer, the last one with the reason.

        ended: of whose jobs the accounting tells, too.
        """
        now = self._clock()
        if self._answer is None or now - self._answer.at >= ASK_SECONDS:
            try:
                queue = ask_queue(submissions)
                jobs = {each.name: each.job for each in submissions if each.job}
                accounted = {*jobs.values(), *(each.job for each in ended if each.job)}
                self._answer = QueueAnswer(queue, now, frozenset(jobs), ask_ends(sorted(accounted, key=int)))
            except (ServiceError, SlurmRefusedError) as error:
                last = self._answer or QueueAnswer({}, now)
                self._answer = replace(last, at=now, trouble=str(error))
        return self._answer


def _calibrating(status: SuiteStatus, submissions: Sequence[Submission], queue: Queue) -> SuiteStatus:
    job = next((each for each in reversed(submissions) if each.kind == "calibrate"), None)
    task = None if job is None else queue.get((job.name, None))
    if task is None or not task.active:
        return status
    because = f" ({task.reason})" if task.reason else ""
    state = f"waits{because}" if task.waiting else f"runs on {task.node}"
    before = f"calibration job {task.job} {state}; its runs are planned and submitted after it"
    return replace(status, before=before)


def _unranked(records: SuiteRecords, submissions: Sequence[Submission]) -> bool:
    """Whether no leaderboard was written since the last dependent job was submitted."""
    finish = [each for each in submissions if each.kind == "finish"]
    page = records.store.leaderboard / "index.html"
    if not finish or not page.is_file():
        return bool(finish)
    return page.stat().st_mtime < datetime.fromisoformat(finish[-1].at).timestamp()


def list_troubles(known: Sequence[Submission], answer: QueueAnswer, records: SuiteRecords) -> list[str]:
    """A sentence for each thing that does not mend itself: nodes, held and stuck tasks, a lost dependent job."""
    finish = {each.job for each in known if each.kind == "finish"}
    notes = NodeFailures.of(end for end in answer.ends if end.task not in finish).lines()
    names = {each.name: each for each in known}
    for (name, index), task in answer.queue.items():
        if name in names and task.stuck:
            minutes = task.ending_seconds / 60
            called = _name(names[name], index)
            notes.append(f"job {called} has been COMPLETING on {task.node} for {minutes:.0f} minutes: taken for ended")
    held = {key: task for key, task in answer.queue.items() if key[0] in names and task.held}
    if held:
        tasks = ",".join(_name(names[name], index) for name, index in held)
        reasons = ", ".join(sorted({task.reason for task in held.values()}))
        notes.append(f"held ({reasons}), and waiting for ever: once the cause is mended, scontrol release {tasks}")
    lost = next((each for each in reversed(known) if each.kind == "finish"), None)
    if lost is not None and (how := _lost(lost, answer)):
        log = Submissions(records.root).folder / f"{lost.job}.log"
        notes.append(f"the dependent job {lost.job} {how} ({log}); the command that submitted the suite goes on")
    return notes


def _lost(finish: Submission, answer: QueueAnswer) -> str:
    """How the last dependent job was lost; empty where it waits, runs, has done its work or was just submitted."""
    task, end = answer.queue.get((finish.name, None)), answer.last.get(str(finish.job))
    if (task is not None and task.active) or finish.name not in answer.names:
        return ""
    how = describe_end(task, end)
    return "" if how == "COMPLETED" else f"ended: {how}" if how else "is gone"


def describe_end(task: Task | None, end: End | None) -> str:
    """How a task ended: by the accounting, unless the controller knows of a later end; empty if nobody knows."""
    if end is None or (task is not None and task.state != end.state):
        return "" if task is None else task.state
    return end.how if task is None or not end.node else f"{end.how} on {end.node}"


def _name(submission: Submission, index: int | None) -> str:
    return str(submission.job) if index is None else submission.task_of(index)


def _with_slurm(
    status: RunStatus, records: SuiteRecords, last: Mapping[str, tuple[Submission, int]], answer: QueueAnswer
) -> RunStatus:
    """One run's status with what Slurm knows. last: run -> its last submission, and the index of its task."""
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
    return with_task(status, name, task, answer.last.get(name))


def with_task(status: RunStatus, name: str, task: Task | None, end: End | None) -> RunStatus:
    """One run's status with that of its array task `name`. end: how that ended, by the accounting."""
    if task is None or not task.active:  # a heartbeat that is still fresh is of a dead process
        state: State = "interrupted" if status.spent.attempts else "to run"
        how = describe_end(task, end)
        ended = f" ({how})" if how else ""
        return replace(
            status,
            state=state,
            note=f"job {name} is gone{ended}; the command that submitted the suite submits it again",
        )
    if task.held:
        return replace(status, state="queued", note=f"job {name} is held, {task.reason}; scontrol release {name}")
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
    """A plan's dry run with the runs that wait or run in jobs; one call of squeue at most."""
    submissions = unsettled(SuiteRecords(dry_run.store))
    if dry_run.states is None or not any(submission.tasks for submission in submissions):
        return dry_run
    queue = ask_queue(submissions)
    queued = QueueState.of(dry_run.pending, identify(submissions, queue), queue).queued
    states = dict(dry_run.states)
    states |= {run.id: "queued" for run in queued if states[run.id] != "running"}
    return replace(dry_run, states=states)
