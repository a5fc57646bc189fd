"""Cancels what a suite has submitted, and nothing else."""

from __future__ import annotations

from harness.records.suite_folder import RunStore
from harness.slurm.client import ask
from harness.slurm.queue import ask_queue
from harness.slurm.queue_state import unsettled
from harness.slurm.record import Submissions
from harness.slurm.submit import submitting


def cancel(store: RunStore) -> list[str]:
    """Cancel this suite's jobs that wait or run; their ids. One call of squeue, and one of scancel if there are any.

    Units that run get a signal and checkpoint. Jobs are found by the names on record, which nobody else's have.
    Raises `UsageError` while another process submits.
    """
    submissions = Submissions(store)
    if not submissions.folder.is_dir():
        return []
    with submitting(submissions):  # nobody submits what would stay
        queue = ask_queue(unsettled(submissions))
        jobs = sorted({task.array for task in queue.values() if task.active}, key=int)
        if jobs:
            ask("scancel", *jobs)
    return jobs
