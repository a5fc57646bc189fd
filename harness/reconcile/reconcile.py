"""Compares the ledgers of a suite with the scheduler's accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from harness.api.errors import ServiceError
from harness.reconcile.apportion import NODE_FAIL, account, by_method, find, runs_of
from harness.reconcile.attempt_intervals import Life, read_lives
from harness.records.accounts import Apart, Reconciliation
from harness.records.suite_folder import RunStore
from harness.slurm.accounting import Allocation, dead_node_seconds, read_allocations
from harness.slurm.record import Submissions

EARLIER_SECONDS = 86_400.0
"""How long before its first attempt a job's accounts are read: it may have been requeued while it was starting."""

OUTSIDE = "no allocation: ran outside of Slurm"
NOT_RECORDED = "recorded by a version that kept no job"
UNKNOWN = "the scheduler's accounts do not know its job"


def reconcile(store: RunStore) -> Reconciliation:
    """What Slurm charged for the units on record beside what their ledgers say; asks it once, and writes nothing.

    Where there is no accounting the record names the problem, and every attempt that ran in Slurm stands apart.
    """
    lives = read_lives(store)
    in_slurm = [life for life in lives if life.place is not None and life.place.job is not None]
    if not in_slurm:
        return _record(store, lives, [])
    try:
        allocations = read_allocations(jobs(store, in_slurm), min(life.origin for life in in_slurm) - EARLIER_SECONDS)
    except ServiceError as error:
        return _record(store, lives, [], str(error))
    return _record(store, lives, allocations, untold(in_slurm, allocations))


def jobs(store: RunStore, lives: Sequence[Life]) -> list[str]:
    """The jobs of attempts and those that were submitted for them, arrays by their shared number, each once."""
    places = [life.place for life in lives if life.place is not None]
    began = [place.array_job or place.job for place in places if place.job is not None]
    submitted = [one.job for one in Submissions(store.root) if one.tasks and one.job is not None]
    return list(dict.fromkeys([*began, *submitted]))


def untold(lives: Sequence[Life], allocations: Sequence[Allocation]) -> str | None:
    """Why GPUs cannot be reconciled: a job had some and its accounts show none. None where all is well."""
    runs = runs_of(allocations)
    for life in lives:
        found = find(life, runs)
        if found is not None and life.place is not None and life.place.gres and found.gres is None:
            return (
                f"job {found.name} had {life.place.gres} on its node and the scheduler's accounts show none: add "
                "gres/gpu to AccountingStorageTRES in slurm.conf"
            )
    return None


def summary(found: Reconciliation) -> list[str]:
    """Lines for people: how many attempts were reconciled, which were not and why, and what is not explained."""
    there = sum(len(one.attempts) for one in found.allocations)
    lines = [f"{found.suite}: {there} attempts in {len(found.allocations)} allocations reconciled"]
    reasons = Counter(one.reason for one in found.apart)
    lines += [f"{count} attempts not reconciled: {reason}" for reason, count in reasons.items() if reason != OUTSIDE]
    lines += [f"{count} attempts: {reason}" for reason, count in reasons.items() if reason == OUTSIDE]
    if any(one.currency == "CPU" for one in found.allocations):
        lines.append("allocations without GPUs are counted in CPU-seconds")
    if any(one.open for one in found.allocations):
        lines.append("some allocations still run: their figures are not final")
    lines += [
        f"job {one.name} ({one.state}, {one.node}): {one.seconds.unexplained:.1f} {one.currency}-seconds unexplained, "
        f"{one.tolerated_seconds:.1f} tolerated"
        for one in found.breaches
    ]
    return lines


def _record(
    store: RunStore, lives: Sequence[Life], allocations: Sequence[Allocation], problem: str | None = None
) -> Reconciliation:
    known = [] if problem is not None else allocations
    runs = runs_of(known)
    homes = [(life, find(life, runs)) for life in lives]
    held: dict[Allocation, list[Life]] = {}
    for life, home in homes:
        if home is not None:
            held.setdefault(home, []).append(life)
    dead = dead_node_seconds() if any(one.state == NODE_FAIL for one in known) else 0.0
    accounts = [account(one, held.get(one, []), dead) for one in known]
    return Reconciliation(
        suite=store.root.name,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        problem=problem,
        allocations=accounts,
        methods=by_method(accounts),
        apart=[_apart(store, life, problem) for life, home in homes if home is None],
    )


def _apart(store: RunStore, life: Life, problem: str | None) -> Apart:
    job = None if life.place is None else life.place.job
    reason = OUTSIDE if job is None else problem or UNKNOWN
    if life.place is None:
        result = store.by_id(life.unit).result()
        job = None if result is None else result.shown.get("slurm_job")
        reason = OUTSIDE if job is None else NOT_RECORDED
    return Apart(unit=life.unit, attempt=life.attempt, method=life.method, job=job, reason=reason)
