"""One array task: runs what is left of its bundle, and says by its exit code whether it should be requeued."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.api.errors import InterruptedRunError, UnitFailedError, UsageError
from harness.execution.display import make_display
from harness.execution.outcome import Outcome
from harness.execution.process import HELD
from harness.execution.run import raise_refused
from harness.execution.session import Session, open_session
from harness.records.run_folder import UnitFolder
from harness.records.suite_folder import RunStore
from harness.slurm.lanes import Lanes
from harness.slurm.leases import free_leases
from harness.slurm.record import Submission, Submissions
from harness.train.stop import StopFlag


def run_task(record: Path, index: int, stop: StopFlag, say: Callable[[str], None]) -> int:
    """Run the units of bundle `index` that have no result.

    0: all have ended well; 70: some with a failure record; 73: another process runs the rest; 75: it was stopped and
    goes on from checkpoints. Raises what the user must act on.
    """
    submissions = Submissions(RunStore.open(record.resolve().parent.parent))
    submission = submissions.read(record)
    if not 0 <= index < len(submission.bundles):
        raise UsageError(f"{record}: has {len(submission.bundles)} bundles, numbered from 0; there is no {index}")
    folders = [submissions.store.by_id(unit) for unit in submission.bundles[index]]
    if all(folder.done for folder in folders):
        say(f"bundle {index} of {submission.name}: everything is done")
        return _code(folders, [], stop)
    with stop.on_signals():
        session = _session(submissions, submission, say)
        for owner in free_leases(folders):
            say(f"freed a unit of job {owner.job}, which is no longer on {owner.host}")
        outcomes = _run(session, submission, [folder for folder in folders if not folder.done], stop)
    raise_refused(outcomes)
    return _code(folders, outcomes, stop)


def _session(submissions: Submissions, submission: Submission, say: Callable[[str], None]) -> Session:
    root = submissions.store.root
    suite = root / "suites" / f"{submission.suite}.yaml"
    return open_session(str(suite), Path(submission.cache), root.parent, say, select=False)


def _run(session: Session, submission: Submission, folders: list[UnitFolder], stop: StopFlag) -> list[Outcome]:
    units = {folder.id: folder.unit for folder in folders}
    outcomes = []
    with make_display(session, len(units)) as display:
        lanes = Lanes(session, submission.lanes, submission.checkpoint_seconds, stop, display)
        for outcome in lanes.run(list(units.values())):
            outcomes.append(outcome)
            display.ended(units[outcome.unit], outcome)
            if outcome.status == "refused":
                stop.set(outcome.message)
    return outcomes


def _code(folders: list[UnitFolder], outcomes: list[Outcome], stop: StopFlag) -> int:
    results = [folder.result() for folder in folders]
    if None in results:
        held = any(outcome.status == "held" for outcome in outcomes) and not stop.is_set()
        return HELD if held else InterruptedRunError.exit_code
    failed = any(result is not None and result.status == "failed" for result in results)
    return UnitFailedError.exit_code if failed else 0
