"""What the controller says of a suite's jobs: one squeue for all of them, and one sacct where it has forgotten some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.api.errors import ServiceError
from harness.slurm.client import SlurmRefusedError, table
from harness.slurm.record import Submission

ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
        *("REVOKED", "TIMEOUT"),
    }
)
"""States that a job does not leave by itself; in every other one it runs, waits, or is about to."""
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})

Key = tuple[str, int | None]
"""Name of a job and index of its array task; None: of a job without tasks."""


@dataclass(frozen=True)
class Task:
    """An array task, or a job without tasks, as Slurm has it.

    job:    its own id, which SLURM_JOB_ID holds in it; array: the id of the whole, by which it is cancelled.
    node:   where it runs, empty while it does not.
    reason: why it waits, in Slurm's word.
    """

    job: str
    array: str
    state: str
    node: str = ""
    reason: str = ""

    @property
    def active(self) -> bool:
        """It runs, or will."""
        return self.state not in ENDED

    @property
    def waiting(self) -> bool:
        """It does not run yet, or not now."""
        return self.state in WAITING


Queue = Mapping[Key, Task]


def ask_queue(submissions: Iterable[Submission]) -> Queue:
    """The tasks of these jobs that the controller remembers; one call of squeue, none without jobs.

    Asked by name: a job whose id is not on record yet is found too, and a name that is gone is no error.
    """
    jobs = {submission.name: submission.job for submission in submissions}
    if not jobs:
        return {}
    form = "%j|%K|%A|%F|%T|%N|%r"
    lines = table(
        *("squeue", "--noheader", "--array", "--states=all"),
        *(f"--name={','.join(sorted(jobs))}", f"--format={form}"),
    )
    queue: dict[Key, Task] = {}
    for line in lines:
        name, index, job, array, state, node, reason = line
        # a known id decides: names may come again where a folder was deleted, ids where a cluster was set up anew
        if jobs.get(name, "") in (None, array):
            task = Task(job, array, state, node.strip(), "" if reason == "None" else reason)
            queue[name, int(index) if index.isdigit() else None] = task
    return queue


def identified(submissions: Iterable[Submission], queue: Queue) -> list[Submission]:
    """The submissions, each with its job's id.

    One without was written before sbatch was called, by a process that died. If Slurm has a job of its name, that is
    it; if not, it was never submitted and is left out.
    """
    ids = {name: task.array for (name, _), task in queue.items()}
    jobs = [(submission, submission.job or ids.get(submission.name)) for submission in submissions]
    return [submission.model_copy(update={"job": job}) for submission, job in jobs if job is not None]


def ask_ends(jobs: Sequence[str]) -> dict[str, str]:
    """How array tasks ended (55_2 -> TIMEOUT), by the accounting; empty where there is none. One call of sacct."""
    if not jobs:
        return {}
    try:
        lines = table("sacct", "-X", "-n", "-P", f"--jobs={','.join(jobs)}", "--format=JobID,State")
    except (ServiceError, SlurmRefusedError):
        return {}
    return {line[0]: line[1].split(" ")[0] for line in lines if len(line) == 2}


def running_jobs(jobs: Sequence[str]) -> frozenset[str]:
    """Those of these ids (SLURM_JOB_ID) whose processes may live: they run, or are about to end."""
    wanted = sorted(set(jobs))
    if not wanted:
        return frozenset()
    try:
        lines = table("squeue", "--noheader", "--array", f"--jobs={','.join(wanted)}", "--format=%A|%T")
    except SlurmRefusedError as refusal:  # asked for one job alone, squeue calls a forgotten one invalid
        if "invalid job id" in refusal.said.lower():
            return frozenset()
        raise
    return frozenset(job for job, state in lines if job in wanted and state not in ENDED | WAITING)
