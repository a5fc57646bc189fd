"""Submits runs in arrays of tasks, and the dependent job that comes after them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from harness.execution.suite_lock import lock_suite
from harness.records.files import disk_errors, write_text
from harness.records.schema import Run
from harness.slurm.client import SlurmRefusedError, ask
from harness.slurm.draft import Draft, Drafter
from harness.slurm.record import Submissions
from harness.slurm.refusals import explain_array_refusal, explain_dependent_refusal
from harness.train.attempt import now
from harness.train.stop import StopFlag

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 20.0
"""How long a process that submits waits for another one that does."""


def submit(drafter: Drafter, runs: Sequence[Run], after: Sequence[str], still_alone: Callable[[], None]) -> None:
    """Submit runs, and the dependent job that waits for them and for the jobs `after`.

    still_alone: the check that `submitting` yields, called before each job.
    Raises `UsageError` if a run does not fit or Slurm refuses.
    """
    jobs: list[str] = []
    for draft in drafter.arrays(runs):
        still_alone()
        jobs.append(_send(drafter, draft, jobs[-1:]))  # one array after the other: %N counts within an array
        log.info("job %s: %s", jobs[-1], summarise_array(draft, drafter.loaded.cluster.max_parallel))
    follow(drafter, [*after, *jobs], still_alone)


def follow(drafter: Drafter, after: Sequence[str], still_alone: Callable[[], None]) -> None:
    """Submit the dependent job of the jobs `after`, unless the cluster file turns it off."""
    draft = drafter.dependent_job()
    if draft is not None:
        still_alone()
        log.info("job %s follows: %s", _send(drafter, draft, after), describe_dependent_job(drafter))


def _send(drafter: Drafter, draft: Draft, after: Sequence[str]) -> str:
    """Record the job, call sbatch, record its id. If sbatch does not answer, the record stays without an id."""
    submissions, loaded = drafter.submissions, drafter.loaded
    submission = draft.submission.model_copy(update={"at": now()})
    script = submissions.script(submission)
    submissions.keep_cluster(loaded.text)
    write_text(script, draft.text)
    submissions.write(submission)
    waits = [f"--dependency=afterany:{':'.join(after)}"] if after else []
    try:
        printed = ask("sbatch", "--parsable", *waits, str(script.resolve()))
    except SlurmRefusedError as refusal:
        submissions.forget(submission)
        explain = explain_array_refusal if draft.tasks else explain_dependent_refusal
        raise explain(refusal, loaded) from None
    job = printed.strip().partition(";")[0]
    submissions.write(submission.model_copy(update={"job": job}))
    return job


def describe_dependent_job(drafter: Drafter) -> str:
    """Say what the dependent job does."""
    if drafter.plan.loaded.suite.search is not None and not drafter.plan.finals:
        if drafter.loaded.cluster.container is not None:
            return "it makes the selection, and in a container submits nothing: `harness run` again submits the finals"
        return "it makes the selection and submits the finals"
    return "it writes the leaderboard"


def summarise_array(draft: Draft, at_once: int) -> str:
    """Say how many runs an array holds, in how many tasks, and how long these are expected to take."""
    count, runs = len(draft.tasks), len(draft.submission.runs)
    longest = max(task.seconds for task in draft.tasks) / 60
    return (
        f"{runs} run{'s' if runs > 1 else ''} in {count} task{'s' if count > 1 else ''}, at most "
        f"{min(count, at_once)} at once, expected to take up to {longest:.0f} minutes each"
    )


@contextmanager
def submitting(submissions: Submissions) -> Iterator[Callable[[], None]]:
    """Let one process at a time submit or cancel a suite. Raises `UsageError` while another one does.

    A thread renews the lease meanwhile, because Slurm may answer late. The check that is yielded raises `UsageError`
    if another process took the lease over, for example while this one was suspended.
    """
    with disk_errors(submissions.folder):
        submissions.folder.mkdir(parents=True, exist_ok=True)
    with lock_suite(submissions.lease, "is submitting this suite", StopFlag(), PATIENCE_SECONDS) as still_alone:
        yield still_alone
