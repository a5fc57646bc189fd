"""The queue of a suite's jobs: one squeue for all of them.

From it follow the state of unfinished runs, and which leases are of ended jobs, to be freed at once.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.api.errors import HarnessError
from harness.records.owner import Owner, current_cluster, current_job
from harness.records.run_folder import RunFolder
from harness.records.schema import Run
from harness.slurm.client import SlurmRefusedError, ask, ask_table
from harness.slurm.record import Submission

ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED")
) | {"TIMEOUT"}
"""States that a job does not leave by itself. In every other state it runs, waits, or is about to."""
HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT"})
WAITING = HELD | {"PENDING", "REQUEUED", "REQUEUE_FED", "RESV_DEL_HOLD"}
COMPLETING_SECONDS = 600.0
"""After so long an end a task is not waited for any more: a node that is gone, or an epilog that hangs."""

NAME = re.compile(r"^(ClusterName)\s*=\s*(\S+)", re.MULTILINE)

Key = tuple[str, int | None]
"""Name of a job and index of its array task; None for a job without tasks."""


@dataclass(frozen=True)
class Task:
    """An array task, or a job without tasks, in the queue.

    job:    its own id, SLURM_JOB_ID in it; array: the id of the whole, by which it is cancelled.
    node:   where it runs, empty while it does not.
    reason: why it waits, in Slurm's words.
    ending_seconds: since its processes were told to end, while it is COMPLETING.
    """

    job: str
    array: str
    state: str
    node: str = ""
    reason: str = ""
    ending_seconds: float = 0.0

    @property
    def active(self) -> bool:
        """Whether it runs or will run. One that is COMPLETING for good has ended."""
        return self.state not in ENDED and not self.stuck

    @property
    def stuck(self) -> bool:
        """Whether its end takes so long that it is not waited for."""
        return self.ending_seconds > COMPLETING_SECONDS

    @property
    def held(self) -> bool:
        """Whether it waits until somebody releases it: a prolog failed, or a person holds it."""
        return self.state in HELD or (self.state == "PENDING" and "held" in self.reason.lower())

    @property
    def waiting(self) -> bool:
        return self.state in WAITING


Queue = Mapping[Key, Task]


def ask_queue(submissions: Iterable[Submission]) -> Queue:
    """The tasks of these jobs that the controller remembers: one call of squeue, none without jobs.

    The question names jobs, not ids: it finds a job whose id is not on record yet, and a forgotten name is no error.
    """
    jobs = {submission.name: submission.job for submission in submissions}
    if not jobs:
        return {}
    names, form = f"--name={','.join(sorted(jobs))}", "--format=%j|%K|%A|%F|%T|%N|%r|%e"
    lines = ask_table("squeue", 8, "--noheader", "--array", "--states=all", names, form)
    queue: dict[Key, Task] = {}
    for name, index, job, array, state, node, reason, end in lines:
        # a known id decides: names may come again where a folder was deleted, ids where a cluster was set up anew
        if jobs.get(name, "") in (None, array):
            ending = _seconds_since(end) if state == "COMPLETING" else 0.0
            task = Task(job, array, state, node.strip(), "" if reason == "None" else reason, ending)
            queue[name, int(index) if index.isdigit() else None] = task
    return queue


def identify(submissions: Iterable[Submission], queue: Queue) -> list[Submission]:
    """The submissions with the ids of their jobs.

    A record without an id is of a process that died before sbatch answered: a job of that name in the queue is its job;
    without one it was never submitted, and is left out.
    """
    ids = {name: task.array for (name, _), task in queue.items()}
    jobs = [(submission, submission.job or ids.get(submission.name)) for submission in submissions]
    return [submission.model_copy(update={"job": job}) for submission, job in jobs if job is not None]


def _seconds_since(text: str) -> float:
    """Seconds since a local time as Slurm prints it; 0 for a word or a time to come."""
    try:
        return max(0.0, time.time() - datetime.fromisoformat(text).timestamp())
    except ValueError:
        return 0.0


def ask_running_jobs(jobs: Sequence[str]) -> frozenset[str]:
    """Those of these ids (SLURM_JOB_ID) that run or are about to end, so that processes of theirs may live."""
    wanted = sorted(set(jobs))
    if not wanted:
        return frozenset()
    try:
        lines = ask_table("squeue", 2, "--noheader", "--array", f"--jobs={','.join(wanted)}", "--format=%A|%T")
    except SlurmRefusedError as refusal:  # squeue calls a single forgotten id invalid
        if "invalid job id" in refusal.message.lower():
            return frozenset()
        raise
    return frozenset(job for job, state in lines if job in wanted and state not in ENDED | WAITING)


@dataclass(frozen=True)
class QueueState:
    """Runs without a result, in the plan's order, by the queue state of their tasks.

    queued:   in an array task that waits or runs, or run by some other process.
    missing:  in no task; these are to be submitted.
    arrays:   ids of the arrays with tasks that wait or run; tasks: number of these tasks.
    followed: whether a dependent job waits or runs.
    """

    queued: tuple[Run, ...]
    missing: tuple[Run, ...]
    arrays: tuple[str, ...]
    tasks: int
    followed: bool

    @classmethod
    def of(
        cls, pending: Sequence[Run], submissions: Sequence[Submission], queue: Queue, held: Collection[str] = ()
    ) -> QueueState:
        """Sort pending runs. held: ids of runs whose lease a process holds."""
        busy = {run for run, task in map_runs_to_tasks(submissions, queue).items() if task.active} | set(held)
        active = [(key, task) for key, task in queue.items() if task.active]
        dependent = {submission.name for submission in submissions if submission.kind == "finish"}
        return cls(
            queued=tuple(run for run in pending if run.id in busy),
            missing=tuple(run for run in pending if run.id not in busy),
            arrays=tuple(sorted({task.array for (_, index), task in active if index is not None})),
            tasks=sum(index is not None for (_, index), _ in active),
            followed=any(name in dependent for (name, _), _ in active),
        )


def map_runs_to_tasks(submissions: Sequence[Submission], queue: Queue) -> dict[str, Task]:
    """Run id -> its task: an active one if there is one, else the last that the controller remembers."""
    tasks: dict[str, Task] = {}
    for submission in submissions:
        for index, runs in enumerate(submission.tasks):
            task = queue.get((submission.name, index))
            if task is not None:
                tasks |= {run: task for run in runs if run not in tasks or task.active or not tasks[run].active}
    return tasks


def free_leases(folders: Iterable[RunFolder]) -> list[Owner]:
    """Remove the leases that ended jobs left on other hosts; their owners. One call of scontrol and squeue at most.

    It frees leases of this user's jobs on this cluster alone, because squeue may hide jobs of others and does not know
    other clusters; the others expire after a silence. (A lease itself recognises that an earlier start of the same job
    is over.)
    """
    held = [(folder, owner) for folder in folders if (owner := folder.lease.holder()) is not None]
    foreign = [(folder, owner) for folder, owner in held if _elsewhere(owner) and _ours(folder)]
    if not foreign:
        return []
    try:
        cluster = current_cluster() or dict(NAME.findall(ask("scontrol", "show", "config"))).get("ClusterName")
        foreign = [(folder, owner) for folder, owner in foreign if owner.cluster == cluster is not None]
        alive = ask_running_jobs([str(owner.job) for _, owner in foreign])
    except HarnessError:
        return []
    return [owner for folder, owner in foreign if owner.job not in alive and folder.lease.remove_of(owner)]


def _ours(folder: RunFolder) -> bool:
    try:
        return folder.lease.path.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False


def _elsewhere(owner: Owner) -> bool:
    """Whether another job holds it where this process cannot see it."""
    return owner.job not in (None, current_job()) and not owner.visible
