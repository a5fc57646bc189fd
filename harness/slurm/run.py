"""Runs a suite on a cluster: submits what is missing, and does the work of an array task and of the dependent job."""

import logging
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.api.errors import InterruptedRunError, MachineError, RunFailedError, UsageError
from harness.execution.device_time import announce
from harness.execution.fork_server import ForkServer
from harness.execution.outcome import Outcome
from harness.execution.process import BUSY
from harness.execution.run import ExecuteSettings, execute
from harness.execution.session import Session, join_session, open_session
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.search.run import select_when_over
from harness.slurm.cluster import LoadedCluster, load_cluster
from harness.slurm.nodes import NodeFailures, ask_ends, failed_where
from harness.slurm.queue import Queue, QueueState, ask_queue, free_leases, identify
from harness.slurm.record import Submission, Submissions, unsettled, version_on_record
from harness.slurm.submit import Drafter, follow, submit, submitting
from harness.suite.load import load_suite
from harness.train.stop import StopFlag

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SuiteSubmission:
    """What a suite has at Slurm after a call that submits. Before its calibration it has no runs, waiting or missing.

    Attributes:
        session: The suite with its data and records. Its plan holds the finals once a search is over.
        queued:  Runs that wait or run now, those just submitted among them.
        missing: Runs without a result that are in no job.
        named:   Whether the missing runs are finals that a selection has just named in a container, where nothing can
            be submitted.
        calibration: The job that measures first what steps cost. None where that is known.
        cluster: The file that says what jobs ask for.
        panels: As was asked for, of `Submission`.
    """

    session: Session
    queued: int
    missing: int
    named: bool = False
    calibration: str | None = None
    cluster: Path = Path()
    panels: bool | None = None

    @property
    def command(self) -> str:
        """The command that submits what is missing, whoever reads it and wherever."""
        plan = self.session.plan
        where = {"cluster": self.cluster, "runs": self.session.store.root.parent, "data": self.session.cache.folder}
        options = " ".join(f"--{option} {shlex.quote(str(path))}" for option, path in where.items())
        options += "" if plan.rung is None else f" --rung {plan.rung}"
        options += "" if self.panels is None else f" --{'' if self.panels else 'no-'}panels"
        return f"harness run --suite {plan.loaded.option} --executor slurm {options}"

    @property
    def over(self) -> bool:
        """Every run has a result."""
        return not self.queued and not self.missing and self.calibration is None


def submit_missing(
    session: Session,
    cluster: LoadedCluster,
    checkpoint_seconds: float = 30.0,
    panels: bool | None = None,
    *,
    dependent: bool = False,
    yes: bool = False,
) -> SuiteSubmission:
    """Submit the runs without a result that neither wait nor run, after the selection if a search is over.

    Cache and runs folder must be visible from the nodes. panels, yes: as of `Submission`.

    dependent: whether the dependent job calls. Of the runs that this version of the suite has submitted before, it
    submits those alone that a node failed, once, on another node, so that a run that keeps dying does not come back by
    itself.

    Raises `UsageError` where Slurm refuses a job, a run does not fit the time limit, or another process submits this
    suite; `ServiceError` where Slurm does not answer. What it may have taken is on record, and found by the next call.
    """
    submissions = Submissions(session.store.root)
    with submitting(submissions) as still_alone:
        had_finals = bool(session.plan.finals)
        session = select_when_over(session)
        pending = session.pending()
        if not pending:
            return SuiteSubmission(session, 0, 0)
        if dependent and cluster.cluster.container is not None:  # no command of Slurm's is in there
            named = bool(session.plan.finals) and not had_finals
            return SuiteSubmission(session, 0, len(pending), named, cluster=cluster.path, panels=panels)
        records = SuiteRecords(session.store)
        drafter = Drafter(session.plan, records, session.cache.folder, cluster, checkpoint_seconds, panels, yes)
        state = _ask_state(session, records, pending)
        suite = session.plan.loaded.suite.hash
        nodes, tried = judge_nodes(submissions, [run.id for run in state.missing], cluster)
        counts = Counter(run for array in submissions if array.job and array.suite == suite for run in array.runs)
        # by itself only what is new, and once more what a node failed, on another one
        retried = {run for run, node in tried.items() if counts[run] == 1 and node in nodes}
        fresh = [run for run in state.missing if not dependent or run.id not in counts or run.id in retried]
        drafter = replace(drafter, excluded=nodes)
        if fresh:
            submit(drafter, fresh, state, still_alone)
        elif not dependent and state.arrays and not state.followed:  # it was refused, or its submitter died before it
            follow(drafter, state.arrays, still_alone)
    left = len(state.missing) - len(fresh)
    return SuiteSubmission(session, len(pending) - left, left, cluster=cluster.path, panels=panels)


def run_dependent_job(record: Path) -> SuiteSubmission | None:
    """Do the work of the dependent job: plan, select and submit. None if a later version of the suite was run.

    record: the file of its submission. Raises as `submit_missing`, `RecordError` without such a submission, and
    `UsageError` where the calibration before it left none, or the runs take days that nobody has agreed to.
    """
    submissions, submission = Submissions.holding(record)
    if superseded(submission, SuiteRecords.open(submissions.root)):
        log.info("%s: a later version of the suite was run; nothing to do", submissions.suite_path(submission))
        return None
    # in a container the paths of the cluster file may not be seen
    cluster = load_cluster(submissions.cluster_path(submission), check_paths=False)
    suite = load_suite(submissions.suite_path(submission))
    session = open_session(suite, Path(submission.cache), submissions.root.parent, submission.rung, measure=False)
    announce(session.plan, session.store, submission.yes)
    asked = submission.checkpoint_seconds, submission.panels
    return submit_missing(session, cluster, *asked, dependent=True, yes=submission.yes)


def superseded(submission: Submission, records: SuiteRecords) -> bool:
    """Whether a later version of the suite was opened in its run directory, or waits there for its calibration.

    The dependent job of an earlier one must not turn back what the later one has named or selected.
    """
    measured = (each for each in Submissions(records.root) if each.kind == "calibrate" and each.at > submission.at)
    opened = version_on_record(records)
    return opened not in (None, submission.suite, submission.opened) or any(
        each.suite != submission.suite for each in measured
    )


def _ask_state(session: Session, records: SuiteRecords, pending: Sequence[Run]) -> QueueState:
    known, queue = ask_jobs(records)
    folders = [session.folder(run) for run in pending]
    free_leases(folders)
    return QueueState.of(pending, known, queue, {folder.id for folder in folders if folder.lease.held()})


def judge_nodes(
    submissions: Submissions, missing: Sequence[str], cluster: LoadedCluster
) -> tuple[list[str], dict[str, str]]:
    """The nodes that get no more jobs, and what of the missing (ids of runs, or "calibrate") a node failed: which."""
    jobs = {each.job: each for each in submissions if each.kind != "finish" and each.job is not None}
    if not cluster.cluster.exclude_failing or not jobs:
        return [], {}
    ends = ask_ends(list(jobs))
    failures, lost = NodeFailures.of(ends), failed_where(jobs.values(), ends)
    tried = {name: lost[name] for name in missing if name in lost}
    for line in failures.lines():
        log.warning(line)
    return failures.excluded(tried.values()), tried


def ask_jobs(records: SuiteRecords) -> tuple[list[Submission], Queue]:
    """The suite's jobs that may have work left, and the queue. Records ids that only Slurm knows."""
    recorded = unsettled(records)
    queue = ask_queue(recorded)
    known = identify(recorded, queue)
    for submission in known:
        if submission not in recorded:
            Submissions(records.root).write(submission)
    return known, queue


def run_task(record: Path, index: int, stop: StopFlag) -> int:
    """Train the runs of task `index` that have no result; record: the file of the array's submission.

    Returns 0: all have ended well; 70: some with a failure record; 71: some died, and another node is to try them; 73:
    another process runs the rest; 75: it was stopped and goes on from checkpoints. A fault that the user must mend is
    raised.
    """
    submissions, submission = Submissions.holding(record)
    if not 0 <= index < len(submission.tasks):
        raise UsageError(f"{record}: has {len(submission.tasks)} tasks, numbered from 0; there is no {index}")
    records, ids = SuiteRecords.open(submissions.root), submission.tasks[index]
    left = [records.run(run).run for run in ids if records.run(run).result is None]
    outcomes: list[Outcome] = []
    if not left:
        log.info("task %s of %s: everything is done", index, submission.name)
    else:
        with stop.on_signals(), ForkServer() as server:  # imports torch while this process plans
            suite = load_suite(submissions.suite_path(submission))
            session = join_session(suite, Path(submission.cache), submissions.root.parent)
            for owner in free_leases(session.folder(run) for run in left):
                log.info("freed a run of job %s, which is no longer on %s", owner.job, owner.host)
            at_once, seconds = submission.runs_at_once, submission.checkpoint_seconds
            settings = ExecuteSettings("auto", at_once, seconds, elsewhere=True)
            outcomes = execute(session, settings, stop, left, server)
    return _exit_code(SuiteRecords(records.store), ids, outcomes, stop)


def _exit_code(records: SuiteRecords, runs: Sequence[str], outcomes: Sequence[Outcome], stop: StopFlag) -> int:
    results = [records.run(run).result for run in runs]
    if None in results:
        ends = set() if stop.is_set() else {outcome.status for outcome in outcomes}
        codes = {"killed": MachineError.exit_code, "busy": BUSY}
        return next((code for status, code in codes.items() if status in ends), InterruptedRunError.exit_code)
    failed = any(result is not None and result.status == "failed" for result in results)
    return RunFailedError.exit_code if failed else 0
