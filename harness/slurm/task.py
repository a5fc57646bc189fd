"""One array task: trains its unfinished runs, and returns an exit code that says whether to requeue it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from harness.api.errors import InterruptedRunError, RunFailedError, UsageError
from harness.execution.outcome import Outcome
from harness.execution.process import BUSY
from harness.execution.run import ExecuteSettings, execute
from harness.execution.session import join_session
from harness.records.reader import SuiteRecords
from harness.slurm.leases import free_leases
from harness.slurm.record import Submissions
from harness.suite.load import load_suite
from harness.train.stop import StopFlag

log = logging.getLogger(__name__)


def run_task(record: Path, index: int, stop: StopFlag) -> int:
    """Train the runs of task `index` that have no result.

    Args:
        record: the file of the array's submission, RUNS/<suite>/slurm/<name>.json.
        index: the array index.
        stop: set by signals; the runs then checkpoint.

    Returns:
        0: all have ended well; 70: some with a failure record; 73: another process runs the rest; 75: it was stopped
        and goes on from checkpoints.

    Raises:
        UsageError, DataError, DiskError: a fault that the user must mend.
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
        with stop.on_signals():
            suite = load_suite(submissions.suite_path(submission))
            session = join_session(suite, Path(submission.cache), submissions.root.parent)
            for owner in free_leases(session.folder(run) for run in left):
                log.info("freed a run of job %s, which is no longer on %s", owner.job, owner.host)
            settings = ExecuteSettings("auto", submission.runs_at_once, submission.checkpoint_seconds)
            outcomes = execute(session, settings, stop, left)
    return _exit_code(SuiteRecords(records.store), ids, outcomes, stop)


def _exit_code(records: SuiteRecords, runs: Sequence[str], outcomes: Sequence[Outcome], stop: StopFlag) -> int:
    results = [records.run(run).result for run in runs]
    if None in results:
        busy = any(outcome.status == "busy" for outcome in outcomes) and not stop.is_set()
        return BUSY if busy else InterruptedRunError.exit_code
    failed = any(result is not None and result.status == "failed" for result in results)
    return RunFailedError.exit_code if failed else 0
