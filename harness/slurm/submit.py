"""Submits units in arrays of bundles, and the job that comes after them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from harness.execution.suite_lock import alone
from harness.records.files import disk_errors, write_text
from harness.records.schema import Unit
from harness.slurm.client import SlurmRefusedError, ask
from harness.slurm.draft import Draft, Drafter
from harness.slurm.record import Submission, Submissions
from harness.slurm.refusals import explained, unfollowed
from harness.train.attempt import now
from harness.train.stop import StopFlag

PATIENCE_SECONDS = 20.0
"""How long one who submits waits for another who does."""


@dataclass(frozen=True)
class Submitter:
    """Sends what a drafter drafts. still_alone: what `submitting` gave, called before each job."""

    drafter: Drafter
    say: Callable[[str], None]
    still_alone: Callable[[], None]

    @property
    def submissions(self) -> Submissions:
        """Where it is recorded."""
        return Submissions(self.drafter.store)

    def submit(self, units: Sequence[Unit], after: Sequence[str]) -> list[Submission]:
        """Submit units, and the job that waits for them and for the jobs `after`.

        Raises `UsageError` where a unit does not fit or Slurm refuses.
        """
        done: list[Submission] = []
        for draft in self.drafter.arrays(units):
            # one array after the other: %N counts within an array
            done.append(self._send(draft, [done[-1].job or ""] if done else []))
            self.say(told(done[-1], draft, self.drafter.loaded.cluster.max_parallel))
        return [*done, *self.follow([*after, *(one.job or "" for one in done)])]

    def follow(self, after: Sequence[str]) -> list[Submission]:
        """Submit the job that waits for the jobs `after`; none where the cluster file wants none."""
        last = self.drafter.finish()
        if last is None:
            return []
        sent = self._send(last, after)
        self.say(f"job {sent.job} follows: {what_follows(self.drafter)}")
        return [sent]

    def _send(self, draft: Draft, after: Sequence[str]) -> Submission:
        """Record it, call sbatch, record the job's id. One whose fate is unknown stays on record without an id."""
        submissions, loaded = self.submissions, self.drafter.loaded
        self.still_alone()
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
            raise (explained(refusal, loaded) if draft.bundles else unfollowed(refusal, loaded)) from None
        known = submission.model_copy(update={"job": printed.strip().partition(";")[0]})
        submissions.write(known)
        return known


def what_follows(drafter: Drafter) -> str:
    """What the job behind the arrays does."""
    if drafter.plan.loaded.suite.search is not None and not drafter.plan.finals:
        if drafter.loaded.cluster.container is not None:
            return "it makes the selection, and in a container submits nothing: `harness run` again submits the finals"
        return "it makes the selection and submits the finals"
    return "it writes the leaderboard"


def told(submission: Submission, draft: Draft, at_once: int) -> str:
    """What was submitted, in one line."""
    count, units = len(submission.bundles), sum(map(len, submission.bundles))
    longest = max(bundle.seconds for bundle in draft.bundles) / 60
    tasks = f"{count} task{'s' if count > 1 else ''}"
    return (
        f"job {submission.job}: {units} unit{'s' if units > 1 else ''} in {tasks}, at most {min(count, at_once)} at "
        f"once, expected to take up to {longest:.0f} minutes each"
    )


@contextmanager
def submitting(submissions: Submissions) -> Iterator[Callable[[], None]]:
    """One process at a time submits a suite, or cancels it. Raises `UsageError` while another one does.

    A thread says meanwhile that this process lives, for Slurm may take its time to answer. What is given raises
    `UsageError` if another process took over all the same, say while this one was suspended.
    """
    with disk_errors(submissions.folder):
        submissions.folder.mkdir(parents=True, exist_ok=True)
    with alone(submissions.lease, "is submitting this suite", StopFlag(), PATIENCE_SECONDS) as still_alone:
        yield still_alone
