"""Rules about clusters: what the scheduler charged."""

from __future__ import annotations

from harness.audit.evidence import combine, counted, held, name_runs, not_applicable, not_held
from harness.audit.finding import Verdict
from harness.audit.records import AuditedSuite, SelectedRun
from harness.audit.rule import rule
from harness.records.accounts import Reconciliation


@rule(
    34,
    "On Slurm the ledgers agree with the scheduler's accounts",
    "What a job holds and no ledger knows is compute that nobody counts.",
    needs="selection",
)
def accounts_agree(suite: AuditedSuite) -> Verdict:
    """reconciliation.json, which `harness reconcile` writes, splits every allocation into what ledgers account for.

    The rest is idle or unexplained: at most 2 % and 2 s an attempt, and where a node died the time until Slurm notices.
    """
    on_slurm = [run for run in suite.runs if _slurm_attempts(run)]
    if not on_slurm:
        return not_applicable("no run ran in an allocation of Slurm")
    record = suite.reconciliation
    if record is None:
        ran = counted(len(on_slurm), "run")
        return not_applicable(f"not reconciled: {ran} ran on Slurm; `harness reconcile` asks it")
    if record.problem is not None:
        return not_applicable(f"not reconciled: {record.problem}")
    known = record.reconciled
    missing = [run for run in on_slurm if any((run.id, attempt) not in known for attempt in _slurm_attempts(run))]
    if not missing:
        return _judged(suite, record)
    left = not_applicable(f"not reconciled: {name_runs(missing)}")
    return combine(_judged(suite, record), left) if record.violations else left


def _judged(suite: AuditedSuite, record: Reconciliation) -> Verdict:
    if record.violations:
        guilty = suite.named(attempt.run for job in record.violations for attempt in job.attempts)
        lines = [
            f"reconciliation.json: {job.seconds.unexplained:,.1f} of {job.allocated:,.0f} {job.currency}-seconds "
            f"unexplained, {job.tolerated_seconds:,.1f} tolerated, in an allocation with "
            f"{name_runs(suite.named(attempt.run for attempt in job.attempts)) or 'no run of the selection'}"
            for job in record.violations
        ]
        return not_held(guilty, f"{counted(len(record.violations), 'allocation')} hold more than is explained", *lines)
    lines = [
        f"{account.entry}: {account.allocated:,.0f} {account.currency}-seconds allocated, ledgers account for "
        f"{account.ledger_ratio:.1%}, {account.training_share:.1%} in training steps"
        for account in record.entries
    ]
    return held(f"{counted(len(record.allocations), 'allocation')} of Slurm agree with the ledgers", *lines)


def _slurm_attempts(run: SelectedRun) -> list[int]:
    return [line.attempt for line in run.ledger if line.process is not None and line.process.job is not None]
