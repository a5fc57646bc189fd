"""A calibration as a job: what steps cost is measured on the cluster before the runs of a suite are known."""

import logging
from dataclasses import replace
from pathlib import Path

from harness.execution.calibration import calibrated
from harness.execution.session import Session, open_uncalibrated
from harness.records.reader import SuiteRecords
from harness.slurm.cluster import LoadedCluster
from harness.slurm.record import Submissions
from harness.slurm.run import SuiteSubmission, ask_jobs, judge_nodes
from harness.slurm.submit import Drafter, follow, submit_measuring, submitting
from harness.suite.load import load_suite

log = logging.getLogger(__name__)


def submit_calibration(
    session: Session,
    cluster: LoadedCluster,
    checkpoint_seconds: float = 30.0,
    panels: bool | None = None,
    *,
    yes: bool = False,
) -> SuiteSubmission:
    """Submit the job that measures what steps of a suite cost, unless it waits or runs, and the job that depends on it.

    The dependent job plans and submits the runs; the calibration gets what one run gets. Cache and runs folder must be
    visible from the nodes. panels, yes: as of `Submission`.

    Raises `UsageError` where Slurm refuses a job or another process submits this suite, `ServiceError` where Slurm does
    not answer.
    """
    suite = session.plan.loaded.suite.hash
    with submitting(Submissions(session.store.root)) as still_alone:
        records = SuiteRecords(session.store)
        drafter = Drafter(session.plan, records, session.cache.folder, cluster, checkpoint_seconds, panels, yes)
        known, queue = ask_jobs(records)
        active = [each for each in known if (task := queue.get((each.name, None))) is not None and task.active]
        own = {each.kind: each.job for each in active if each.suite == suite}
        job = own.get("calibrate")
        if job is None:
            measuring = [each.job for each in active if each.kind == "calibrate" and each.job is not None]
            excluded, _ = judge_nodes(drafter.submissions, ["calibrate"], cluster)
            drafter = replace(drafter, excluded=excluded)
            job = submit_measuring(drafter, measuring, still_alone)
            follow(drafter, [job], still_alone)
        elif "finish" not in own:  # it was refused, or its submitter died before it
            follow(drafter, [job], still_alone)
    if drafter.dependent_job() is None:
        log.info("once it has ended, the same command again submits the runs")
    return SuiteSubmission(session, 0, 0, calibration=job)


def run_calibration_job(record: Path) -> None:
    """Measure what a suite's calibration lacks, and keep it beside the runs.

    record: the file of the job's submission. Raises `RecordError` without one, `UsageError` where what is measured
    leaves a stage too few steps or cannot join the calibration on record, `InterruptedRunError` after a signal: the
    same call goes on.
    """
    submissions, submission = Submissions.holding(record)
    suite = load_suite(submissions.suite_path(submission))
    session = open_uncalibrated(suite, Path(submission.cache), submissions.root.parent)
    if session is None:
        log.info("%s: everything is measured", submission.name)
        return
    calibrated(session.plan, session.cache, session.store)
