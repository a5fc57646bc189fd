"""The queue of a suite's jobs: one squeue for all of them, and one sacct if the controller has forgotten some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.api.errors import ServiceError
from harness.slurm.client import SlurmRefusedError, ask_table
from harness.slurm.record import Submission

ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
        *("REVOKED", "TIMEOUT"),
    }
)
"""States that a job does not leave by itself. In every other state it runs, waits, or is about to."""
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})

Key = tuple[str, int | None]
"""Name of a job and index of its array task; None for a job without tasks."""


@dataclass(frozen=True)
class Task:
    """An array task, or a job without tasks, in the queue.

    job:    its own id, which SLURM_JOB_ID holds in it; array: the id of the whole, by which it is cancelled.
    node:   where it runs, empty while it does not.
    reason: why it waits, in Slurm's words.
    """

    job: str
    array: str
    state: str
    node: str = ""
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it runs or will run."""
        return self.state not in ENDED

    @property
    def waiting(self) -> bool:
        """Whether it waits to run."""
        return self.state in WAITING


Queue = Mapping[Key, Task]


def ask_queue(submissions: Iterable[Submission]) -> Queue:
    """Return the tasks of these jobs that the controller remembers: one call of squeue, none without jobs.

    The question names jobs, not ids: it finds a job whose id is not on record yet, and a forgotten name is no error.
    """
    jobs = {submission.name: submission.job for submission in submissions}
    if not jobs:
        return {}
    form = "%j|%K|%A|%F|%T|%N|%r"
    lines = ask_table(
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


def identify(submissions: Iterable[Submission], queue: Queue) -> list[Submission]:
    """Return the submissions with the ids of their jobs.

    A record without an id is of a process that died before sbatch answered. A job of that name in the queue is its
    job. Without one it was never submitted, and is left out.
    """
    ids = {name: task.array for (name, _), task in queue.items()}
    jobs = [(submission, submission.job or ids.get(submission.name)) for submission in submissions]
    return [submission.model_copy(update={"job": job}) for submission, job in jobs if job is not None]


def ask_ends(jobs: Sequence[str]) -> dict[str, str]:
    """Return how array tasks ended (55_2 -> TIMEOUT), by one call of sacct; empty without accounting."""
    if not jobs:
        return {}
    try:
        lines = ask_table("sacct", "-X", "-n", "-P", f"--jobs={','.join(jobs)}", "--format=JobID,State")
    except (ServiceError, SlurmRefusedError):
        return {}
    return {line[0]: line[1].split(" ")[0] for line in lines if len(line) == 2}


def ask_running_jobs(jobs: Sequence[str]) -> frozenset[str]:
    """Return those of these ids (SLURM_JOB_ID) that run or are about to end, so that processes of theirs may live."""
    wanted = sorted(set(jobs))
    if not wanted:
        return frozenset()
    try:
        lines = ask_table("squeue", "--noheader", "--array", f"--jobs={','.join(wanted)}", "--format=%A|%T")
    except SlurmRefusedError as refusal:  # squeue calls a single forgotten id invalid
        if "invalid job id" in refusal.message.lower():
            return frozenset()
        raise
    return frozenset(job for job, state in lines if job in wanted and state not in ENDED | WAITING)
