"""Compares the ledgers of a suite with the scheduler's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from harness.api.errors import ServiceError
from harness.reconcile.accounting import read_allocations, read_dead_node_seconds
from harness.reconcile.apportion import NODE_FAIL, account_by_entry, account_for, find_allocation, group_by_job
from harness.reconcile.attempt_intervals import AttemptInterval, read_intervals
from harness.records.accounts import Allocation, Reconciliation, UnreconciledAttempt
from harness.records.reader import SuiteRecords
from harness.slurm.record import Submissions

EARLIER_SECONDS = 86_400.0
"""How long before its first attempt a job's accounts are read: it may have been requeued while it was starting."""

OUTSIDE = "no allocation: ran outside of Slurm"
UNKNOWN = "the scheduler's accounts do not know its job"


def reconcile(records: SuiteRecords) -> Reconciliation:
    """Compare what Slurm charged for the runs on record with their ledgers. Asks Slurm once, and writes nothing.

    Args:
        records: the records of one suite.

    Returns:
        Allocations by use, in GPU-seconds or CPU-seconds. Without accounting it names the problem, and every attempt
        that ran in Slurm is listed as unreconciled.

    Raises:
        RecordError: a ledger does not say where an attempt ran.
    """
    intervals = read_intervals(records)
    in_slurm = [interval for interval in intervals if interval.process.job is not None]
    allocations: list[Allocation] = []
    problem = None
    if in_slurm:
        since = min(interval.origin for interval in in_slurm) - EARLIER_SECONDS
        try:
            allocations = read_allocations(list_jobs(records, in_slurm), since)
            problem = find_missing_gpus(in_slurm, allocations)
        except ServiceError as error:
            problem = str(error)
    return _record(records.name, intervals, [] if problem else allocations, problem)


def list_jobs(records: SuiteRecords, intervals: Sequence[AttemptInterval]) -> list[str]:
    """List the jobs of attempts and the submitted ones, arrays by their shared number, each once."""
    began = [interval.process.array_job or interval.process.job for interval in intervals]
    submitted = [submission.job for submission in Submissions(records.root) if submission.tasks]
    return list(dict.fromkeys(job for job in (*began, *submitted) if job is not None))


def find_missing_gpus(intervals: Sequence[AttemptInterval], allocations: Sequence[Allocation]) -> str | None:
    """Say why GPUs cannot be reconciled: a job had some and its accounts show none. None if all is well."""
    by_job = group_by_job(allocations)
    for interval in intervals:
        allocation = find_allocation(interval, by_job)
        if allocation is not None and interval.process.gres and allocation.gres is None:
            return (
                f"job {allocation.name} had {interval.process.gres} on its node and its accounts show none: "
                "add gres/gpu to AccountingStorageTRES in slurm.conf"
            )
    return None


def summarise(reconciliation: Reconciliation) -> list[str]:
    """Return lines to print: how many attempts were reconciled, which were not and why, and what is unexplained."""
    allocations = reconciliation.allocations
    count = sum(len(allocation.attempts) for allocation in allocations)
    lines = [f"{reconciliation.suite}: {count} attempts in {len(allocations)} allocations reconciled"]
    reasons = Counter(attempt.reason for attempt in reconciliation.unreconciled)
    outside = reasons.pop(OUTSIDE, 0)
    lines += [f"{count} attempts not reconciled: {reason}" for reason, count in reasons.items()]
    if outside:
        lines.append(f"{outside} attempts: {OUTSIDE}")
    if any(allocation.currency == "CPU" for allocation in allocations):
        lines.append("allocations without GPUs are counted in CPU-seconds")
    if any(allocation.open for allocation in allocations):
        lines.append("some allocations still run: their figures are not final")
    lines += [
        f"job {job.name} ({job.state}, {job.node}): {job.seconds.unexplained:.1f} {job.currency}-seconds unexplained, "
        f"{job.tolerated_seconds:.1f} tolerated"
        for job in reconciliation.violations
    ]
    return lines


def _record(
    suite: str, intervals: Sequence[AttemptInterval], allocations: Sequence[Allocation], problem: str | None
) -> Reconciliation:
    by_job = group_by_job(allocations)
    intervals_of: dict[Allocation, list[AttemptInterval]] = {allocation: [] for allocation in allocations}
    unreconciled = []
    for interval in intervals:
        allocation = find_allocation(interval, by_job)
        if allocation is not None:
            intervals_of[allocation].append(interval)
            continue
        job = interval.process.job
        reason = OUTSIDE if job is None else problem or UNKNOWN
        unreconciled.append(
            UnreconciledAttempt(
                run=interval.run, attempt=interval.attempt, entry=interval.entry, job=job, reason=reason
            )
        )
    dead = read_dead_node_seconds() if any(allocation.state == NODE_FAIL for allocation in allocations) else 0.0
    accounts = [account_for(allocation, intervals_of[allocation], dead) for allocation in allocations]
    return Reconciliation(
        suite=suite,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        problem=problem,
        allocations=accounts,
        entries=account_by_entry(accounts),
        unreconciled=unreconciled,
    )
