"""Cancels the jobs of a suite, and no others."""

from __future__ import annotations

from harness.records.reader import SuiteRecords
from harness.slurm.client import ask
from harness.slurm.queue import ask_queue
from harness.slurm.record import Submissions, unsettled
from harness.slurm.submit import submitting


def cancel(records: SuiteRecords) -> list[str]:
    """Cancel this suite's jobs that wait or run: one call of squeue, and one of scancel if there are any.

    Active runs get a signal and checkpoint. Jobs are found by the names on record, which are unique.

    Returns:
        The ids of the cancelled jobs.

    Raises:
        UsageError: another process submits this suite now.
        ServiceError: Slurm does not answer.
    """
    submissions = Submissions(records.root)
    if not submissions.folder.is_dir():
        return []
    with submitting(submissions):  # no other process submits meanwhile
        queue = ask_queue(unsettled(records))
        jobs = sorted({task.array for task in queue.values() if task.active}, key=int)
        if jobs:
            ask("scancel", *jobs)
    return jobs
