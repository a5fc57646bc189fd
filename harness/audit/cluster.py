"""Rules about clusters: what the scheduler charged."""

from __future__ import annotations

from harness.audit.evidence import broken, counted, held, names, not_applicable, together
from harness.audit.finding import Verdict
from harness.audit.records import SuiteRecords, UnitRecords
from harness.audit.rule import rule
from harness.records.accounts import Reconciliation


@rule(
    34,
    "On Slurm the ledgers agree with the scheduler's accounts",
    "What a job holds and no ledger knows is compute that nobody counts.",
)
def accounts_agree(suite: SuiteRecords) -> Verdict:
    """reconciliation.json, which `harness reconcile` writes, splits every allocation into what ledgers account for.

    The rest is idle or unexplained: at most 2 % and 2 s an attempt, and where a node died the time until Slurm notices.
    """
    ran = [one for one in suite.units if _jobs(one)]
    if not ran:
        return not_applicable("no unit ran in an allocation of Slurm")
    record = suite.reconciliation
    if record is None:
        return not_applicable(f"not reconciled: {counted(len(ran), 'unit')} ran on Slurm; `harness reconcile` asks it")
    if record.problem is not None:
        return not_applicable(f"not reconciled: {record.problem}")
    there = record.reconciled
    missing = [one for one in ran if any((one.folder.id, attempt) not in there for attempt in _jobs(one))]
    if missing:
        left = not_applicable(f"not reconciled: {names(missing)}")
        return left if not record.breaches else together(_judged(suite, record), left)
    return _judged(suite, record)


def _judged(suite: SuiteRecords, record: Reconciliation) -> Verdict:
    if record.breaches:
        guilty = suite.named(attempt.unit for one in record.breaches for attempt in one.attempts)
        lines = [
            f"reconciliation.json: {one.seconds.unexplained:,.1f} of {one.allocated:,.0f} {one.currency}-seconds "
            f"unexplained, {one.tolerated_seconds:,.1f} tolerated, in an allocation with "
            f"{names(suite.named(attempt.unit for attempt in one.attempts)) or 'no unit of the selection'}"
            for one in record.breaches
        ]
        return broken(guilty, f"{counted(len(record.breaches), 'allocation')} hold more than is explained", *lines)
    lines = [
        f"{one.method}: {one.allocated:,.0f} {one.currency}-seconds allocated, ledgers account for "
        f"{one.ledger_ratio:.1%}, {one.training_share:.1%} in training steps"
        for one in record.methods
    ]
    return held(f"{counted(len(record.allocations), 'allocation')} of Slurm agree with the ledgers", *lines)


def _jobs(one: UnitRecords) -> list[int]:
    """Its attempts that ran in a job of Slurm."""
    return [line.attempt for line in one.ledger if line.place is not None and line.place.job is not None]
