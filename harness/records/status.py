"""How far a suite is, from its records alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from harness.records.budget import Budget
from harness.records.files import is_there, read_record
from harness.records.lease import Lease, silence_seconds
from harness.records.ledger import summarise_at_rest
from harness.records.partial_calibration import PartialCalibration
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import PlannedRun, Spent, Trial
from harness.records.suite_folder import Selection, SuiteFolder, Trials

if TYPE_CHECKING:
    from harness.records.ended import EndedRuns

State = Literal["done", "failed", "running", "queued", "interrupted", "to run"]
STATES: tuple[State, ...] = get_args(State)
"""queued: waits in Slurm's queue. interrupted: begun, and no process runs it; it goes on from its checkpoint."""


@dataclass(frozen=True)
class RunStatus:
    """One run.

    share:           spent share of its budget, in [0, 1].
    validation_dice: of the last validation of a finished run, mean over classes.
    note:            who runs it, or why it failed.
    """

    state: State
    spent: Spent
    share: float
    validation_dice: float | None = None
    note: str = ""
    run: str = ""


@dataclass(frozen=True)
class SuiteStatus:
    """The trials of the current search and the runs of the current selection, in their order.

    others: number of runs on record that the current selection does not name (an earlier suite, other data).
    before: what comes before the runs are known; empty once they are.
    """

    suite: str
    runs: tuple[tuple[PlannedRun | Trial, RunStatus], ...]
    others: int
    before: str = ""

    @property
    def counts(self) -> dict[State, int]:
        counted = Counter(status.state for _, status in self.runs)
        return {state: counted[state] for state in STATES}

    @property
    def summary(self) -> str:
        if self.before:
            return f"{self.suite}: {self.before}"
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        seconds = sum(status.spent.lost_device_seconds for _, status in self.runs)
        lost = f"; {seconds:.1f} device-seconds lost to interruptions" if seconds else ""
        others = f"; {self.others} more on record from other versions of the suite or its data" if self.others else ""
        return f"{self.suite}: {len(self.runs)} runs, {counts or 'none planned'}{lost}{others}"


def read_status(records: SuiteRecords) -> SuiteStatus:
    """How far every run of the current selection is."""
    trials, selection = records.trials, records.selection
    if trials is None and selection is None and not any(True for _ in records.store.folders()):
        return SuiteStatus(records.name, (), 0, _before_the_plan(records.store))
    if trials is None:
        selection = records.require_selection()
    planned: list[tuple[PlannedRun | Trial, str]] = []
    if trials is not None:
        planned += [(trial, trial.run) for trial in trials.trials]
    if selection is not None and _belongs(selection, trials):
        planned += [(entry.planned_run, entry.run) for entry in selection.entries]
    by_run = run_statuses(records, [run for _, run in planned], records.ended)
    others = sum(1 for _ in records.store.folders(without=by_run))
    return SuiteStatus(records.name, tuple((name, by_run[run]) for name, run in planned), others)


def _before_the_plan(store: SuiteFolder) -> str:
    if store.calibrations():
        return "calibrated, and no run is planned yet; the command that calibrated it goes on"
    part, holder = store.calibration_part, store.calibration_lease.holder()
    count = len(read_record(part, PartialCalibration).entries) if is_there(part) else 0
    measured = f"{count} measurement{'s' if count != 1 else ''} so far"
    if holder is not None and store.calibration_lease.held():
        return f"pid {holder.pid} on {holder.host} calibrates it, {measured}; then its runs are planned"
    return f"not calibrated yet, {measured}, and so no run is planned; the command that began it goes on"


def _belongs(selection: Selection, trials: Trials | None) -> bool:
    """Whether a selection was made from these trials, not from those of another version of suite, data or method."""
    if trials is None:
        return True
    tried = {candidate.trial.run for candidate in selection.candidates or []}
    return selection.suite_hash == trials.suite_hash and tried == {trial.run for trial in trials.trials}


def run_statuses(records: SuiteRecords, runs: Sequence[str], ended: EndedRuns) -> dict[str, RunStatus]:
    """Run id -> how far it is; ended: those of the runs that have a result."""
    known = {status.run: status for status in _ended(ended)}
    return {run: known[run] if run in known else _unfinished(records.run(run)) for run in runs}


def _ended(ended: EndedRuns) -> Iterator[RunStatus]:
    names = ("run", "status", "failure_kind", "failure_reason", "validation_dice", "settings")
    for spent, run, status, kind, reason, dice, settings in zip(ended.spent, *map(ended.column, names), strict=True):
        share = share_of(ended.settings[settings].budget, spent)
        if kind is not None:
            yield RunStatus("failed", spent, share, None, f"{kind}: {reason}", run)
        else:
            yield RunStatus("done", spent, share, dice, "ended early by the search" * (status == "ended_early"), run)


def _unfinished(record: RunRecord) -> RunStatus:
    if not record.exists:
        return RunStatus("to run", record.spent, 0.0, run=record.id)
    held = record.folder.lease.held()
    spent = record.spent if held else summarise_at_rest(record.ledger)
    share = share_of(record.run.budget, spent)
    if held:
        return RunStatus("running", spent, share, None, _holder(record.folder.lease), record.id)
    return RunStatus("interrupted" if spent.attempts else "to run", spent, share, run=record.id)


def share_of(budget: Budget, spent: Spent) -> float:
    """Useful spending over the budget, in the budget's currency."""
    return min(1.0, spent.in_currency(budget)[0] / budget.amount)


def _holder(lease: Lease) -> str:
    holder, silent = lease.holder(), silence_seconds(lease.path)
    return f"pid {holder.pid} on {holder.host}, heartbeat {silent:.0f} s ago" if holder else ""
