"""Submits runs in arrays of tasks, and the dependent job that comes after them; cancels them, and no others."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.api.strict import digest, now
from harness.execution.run import lock_suite
from harness.records.files import disk_errors, write_text
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.slurm.client import SlurmRefusedError, ask, read_job
from harness.slurm.cluster import LoadedCluster, explain_array_refusal, explain_dependent_refusal
from harness.slurm.packing import PlannedTask, plan_tasks
from harness.slurm.queue import QueueState, ask_queue
from harness.slurm.record import Kind, Submission, Submissions, unsettled, version_on_record
from harness.slurm.script import Batch
from harness.suite.plan import Plan
from harness.train.stop import StopFlag

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 20.0
"""How long a process that submits waits for another one that does."""


@dataclass(frozen=True)
class Draft:
    """A job before its submission: its record, still without an id, and its batch file.

    tasks: of an array, with their expected times; none for another job.
    """

    submission: Submission
    text: str
    tasks: tuple[PlannedTask, ...] = ()


@dataclass(frozen=True)
class Drafter:
    """Drafts jobs for one suite without writing or sending anything.

    cache: the data's folder, seen by all nodes. excluded: nodes that get none of them.
    """

    plan: Plan
    records: SuiteRecords
    cache: Path
    loaded: LoadedCluster
    checkpoint_seconds: float = 30.0
    panels: bool | None = None
    yes: bool = False
    excluded: Sequence[str] = ()

    @property
    def submissions(self) -> Submissions:
        return Submissions(self.records.root)

    def arrays(self, runs: Sequence[Run]) -> list[Draft]:
        """Pack runs into as many arrays as their tasks need. Raises `UsageError` if one does not fit the time limit."""
        names, size = self.plan.names, self.loaded.cluster.max_array_size
        asked = [names[run.id] for run in runs]
        tasks = plan_tasks(runs, asked, self.records, self.loaded, self.plan.reference_seconds)
        ids = [[runs[index].id for index in task.runs] for task in tasks]
        parts = [slice(start, start + size) for start in range(0, len(tasks), size)]
        return [self._draft("tasks", number, ids[part], tasks[part]) for number, part in enumerate(parts)]

    def calibration_job(self) -> Draft:
        return self._draft("calibrate", 0)

    def dependent_job(self, unsent: int = 0) -> Draft | None:
        """Draft the job that comes after others, `unsent` of which are drafts.

        None if it is turned off, and after a calibration in a container, where it could submit nothing.
        """
        cluster = self.loaded.cluster
        if cluster.finish is None or (self.plan.uncalibrated and cluster.container is not None):
            return None
        return self._draft("finish", unsent)

    def _draft(
        self, kind: Kind, number: int, tasks: Sequence[list[str]] = (), planned: Sequence[PlannedTask] = ()
    ) -> Draft:
        """Name the job by a hash of its tasks and the number of earlier submissions, so that names are unique."""
        root, before = self.records.root, sum(1 for _ in self.submissions)
        submission = Submission(
            name=f"{root.name}-{kind}-{digest([str(root.resolve()), before + number, list(tasks)])[:8]}",
            kind=kind,
            suite=self.plan.loaded.suite.hash,
            cluster=digest(self.loaded.text),
            cache=str(self.cache.resolve()),
            tasks=list(tasks),
            runs_at_once=self.loaded.cluster.runs_at_once,
            checkpoint_seconds=self.checkpoint_seconds,
            panels=self.panels,
            rung=self.plan.rung,
            yes=self.yes,
            opened=version_on_record(self.records),
        )
        batch = Batch(self.submissions, submission, self.loaded.cluster)
        texts = {"tasks": batch.array_text, "calibrate": batch.calibration_text, "finish": batch.dependent_text}
        return Draft(submission, texts[kind](), tuple(planned))


def submit(drafter: Drafter, runs: Sequence[Run], state: QueueState, still_alone: Callable[[], None]) -> None:
    """Submit runs, and the dependent job that waits for them and for the arrays that wait or run.

    state: of the suite's jobs; `max_parallel` holds for its tasks and the new ones together. still_alone: the check
    that `submitting` yields, called before each job. Raises `UsageError` if a run does not fit or Slurm refuses.
    """
    if drafter.excluded:
        log.info("no task goes to %s", ", ".join(drafter.excluded))
    jobs: list[str] = []
    drafts, most = drafter.arrays(runs), drafter.loaded.cluster.max_parallel
    free = free_slots(most, state.tasks, sum(len(draft.tasks) for draft in drafts))
    for draft in drafts:
        still_alone()
        # %N counts within an array, so one starts after the other
        after = jobs[-1:] or ([] if free else state.arrays)
        slots = [f"--array=0-{len(draft.tasks) - 1}%{free}"] if 0 < free < most else []
        jobs.append(_send(drafter, draft, after, *slots))
        waits = f", after job {', '.join(after)}" if after else ""
        log.info("job %s: %s%s", jobs[-1], summarise_array(draft, free or most), waits)
    follow(drafter, [*state.arrays, *jobs], still_alone)


def free_slots(most: int, active: int, tasks: int) -> int:
    """How many of so many tasks may run beside `active` ones, at most `most` in all; 0: none before those have ended.

    Few slots are none: an array keeps its limit for its whole life.
    """
    free = most - active
    return free if free >= min(tasks, math.ceil(most / 2)) else 0


def submit_measuring(drafter: Drafter, after: Sequence[str], still_alone: Callable[[], None]) -> str:
    """Submit the job that measures what steps cost; its id. after: jobs that measure already."""
    still_alone()
    job = _send(drafter, drafter.calibration_job(), after)
    log.info("job %s: measures what a step of each entry costs", job)
    return job


def follow(drafter: Drafter, after: Sequence[str], still_alone: Callable[[], None]) -> None:
    """Submit the dependent job of the jobs `after`, if there is to be one."""
    draft = drafter.dependent_job()
    if draft is not None:
        still_alone()
        log.info("job %s follows: %s", _send(drafter, draft, after), describe_dependent_job(drafter))


def _send(drafter: Drafter, draft: Draft, after: Sequence[str], *options: str) -> str:
    """Record the job, call sbatch, record its id. If sbatch does not answer, the record stays without an id."""
    submissions, loaded = drafter.submissions, drafter.loaded
    submission = draft.submission.model_copy(update={"at": now()})
    script = submissions.script(submission)
    write_text(submissions.cluster_path(submission), loaded.text)
    write_text(script, draft.text)
    submissions.write(submission)
    waits = [f"--dependency=afterany:{':'.join(after)}"] if after else []
    excluded = ",".join((*loaded.cluster.excluded, *drafter.excluded))
    without = [f"--exclude={excluded}"] if drafter.excluded else []
    try:
        printed = ask("sbatch", "--parsable", *waits, *without, *options, str(script.resolve()))
    except SlurmRefusedError as refusal:
        submissions.path(submission).unlink()
        script.unlink()
        explain = explain_dependent_refusal if submission.kind == "finish" else explain_array_refusal
        raise explain(refusal, loaded) from None
    job = read_job(printed)
    submissions.write(submission.model_copy(update={"job": job}))
    return job


def describe_dependent_job(drafter: Drafter) -> str:
    if drafter.plan.uncalibrated:
        return "it plans and submits the runs"
    if drafter.plan.loaded.suite.search is None or drafter.plan.finals:
        return "it writes the leaderboard"
    if drafter.loaded.cluster.container is not None:
        return "it makes the selection, and in a container submits nothing: the same command again submits the finals"
    return "it makes the selection and submits the finals"


def summarise_array(draft: Draft, at_once: int) -> str:
    """How many runs an array holds, in how many tasks, and how long these are expected to take."""
    count, runs = len(draft.tasks), len(draft.submission.runs)
    longest = max(task.seconds for task in draft.tasks) / 60
    return (
        f"{runs} run{'s' if runs > 1 else ''} in {count} task{'s' if count > 1 else ''}, at most "
        f"{min(count, at_once)} at once, expected to take up to {longest:.0f} minutes each"
    )


@contextmanager
def submitting(submissions: Submissions) -> Iterator[Callable[[], None]]:
    """Let one process at a time submit or cancel a suite. Raises `UsageError` while another one does.

    Slurm may answer late, so a thread renews the lease. The check that is yielded raises `UsageError` if another
    process took the lease over, for example while this one was suspended.
    """
    with disk_errors(submissions.folder):
        submissions.folder.mkdir(parents=True, exist_ok=True)
    with lock_suite(submissions.lease, "is submitting this suite", StopFlag(), PATIENCE_SECONDS) as still_alone:
        yield still_alone


def cancel(records: SuiteRecords) -> list[str]:
    """Cancel this suite's jobs that wait or run; their ids. One call of squeue, and one of scancel if there are any.

    Active runs get a signal and checkpoint. Jobs are found by the names on record, which are unique. Raises
    `UsageError` where another process submits this suite now, `ServiceError` where Slurm does not answer.
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
