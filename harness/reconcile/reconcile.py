"""Compares the ledgers of a suite with the scheduler's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from harness.api.errors import ServiceError
from harness.reconcile.accounting import dead_node_seconds, read_allocations
from harness.reconcile.apportion import NODE_FAIL, account, by_method, find, runs_of
from harness.reconcile.attempt_intervals import Life, read_lives
from harness.records.accounts import Allocation, Reconciliation, UnreconciledAttempt
from harness.records.reader import SuiteRecords
from harness.slurm.record import Submissions

EARLIER_SECONDS = 86_400.0
"""How long before its first attempt a job's accounts are read: it may have been requeued while it was starting."""

OUTSIDE = "no allocation: ran outside of Slurm"
UNKNOWN = "the scheduler's accounts do not know its job"


def reconcile(records: SuiteRecords) -> Reconciliation:
    """What Slurm charged for the runs on record beside what their ledgers say; asks it once, and writes nothing.

    Where there is no accounting the record names the problem, and every attempt that ran in Slurm stands apart.
    Raises `RecordError` where a ledger does not say where it ran.
    """
    lives = read_lives(records)
    in_slurm = [life for life in lives if life.place.job is not None]
    allocations: list[Allocation] = []
    problem = None
    if in_slurm:
        since = min(life.origin for life in in_slurm) - EARLIER_SECONDS
        try:
            allocations = read_allocations(jobs(records, in_slurm), since)
            problem = untold(in_slurm, allocations)
        except ServiceError as error:
            problem = str(error)
    return _record(records.name, lives, [] if problem else allocations, problem)


def jobs(records: SuiteRecords, lives: Sequence[Life]) -> list[str]:
    """The jobs of attempts and those that were submitted for them, arrays by their shared number, each once."""
    began = [life.place.array_job or life.place.job for life in lives]
    submitted = [submission.job for submission in Submissions(records.root) if submission.tasks]
    return list(dict.fromkeys(job for job in (*began, *submitted) if job is not None))


def untold(lives: Sequence[Life], allocations: Sequence[Allocation]) -> str | None:
    """Why GPUs cannot be reconciled: a job had some and its accounts show none. None where all is well."""
    runs = runs_of(allocations)
    for life in lives:
        allocation = find(life, runs)
        if allocation is not None and life.place.gres and allocation.gres is None:
            return (
                f"job {allocation.name} had {life.place.gres} on its node and the scheduler's accounts show none: add "
                "gres/gpu to AccountingStorageTRES in slurm.conf"
            )
    return None


def summary(reconciliation: Reconciliation) -> list[str]:
    """Lines for people: how many attempts were reconciled, which were not and why, and what is not explained."""
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
    suite: str, lives: Sequence[Life], allocations: Sequence[Allocation], problem: str | None
) -> Reconciliation:
    runs = runs_of(allocations)
    held: dict[Allocation, list[Life]] = {allocation: [] for allocation in allocations}
    unreconciled = []
    for life in lives:
        allocation = find(life, runs)
        if allocation is not None:
            held[allocation].append(life)
            continue
        job = life.place.job
        reason = OUTSIDE if job is None else problem or UNKNOWN
        unreconciled.append(
            UnreconciledAttempt(run=life.run, attempt=life.attempt, method=life.method, job=job, reason=reason)
        )
    dead = dead_node_seconds() if any(allocation.state == NODE_FAIL for allocation in allocations) else 0.0
    accounts = [account(allocation, held[allocation], dead) for allocation in allocations]
    return Reconciliation(
        suite=suite,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        problem=problem,
        allocations=accounts,
        methods=by_method(accounts),
        unreconciled=unreconciled,
    )
