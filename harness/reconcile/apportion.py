"""Shares allocations out: its own time to each attempt, and the rest among entries. The parts add up to the whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.reconcile.attempt_intervals import AttemptInterval
from harness.records.accounts import (
    TOLERATED_SECONDS,
    TOLERATED_SHARE,
    Allocation,
    AllocationAccount,
    AttemptAccount,
    Currency,
    EntryAccount,
    Seconds,
)
from harness.records.ledger import BEAT_SECONDS

LAUNCH_SECONDS = 300.0
"""How long a job may take to its first run (prolog, modules, Ray) before its devices count as idle."""

CLOCK_SECONDS = 2.0
"""Slurm's times are whole seconds, and clocks of machines differ a little."""

ENDED_BY_SIGNAL = ("CANCELLED", "PREEMPTED", "TIMEOUT", "REQUEUED", "DEADLINE")
LINGER_SECONDS = 60.0
"""How long signalled processes may run on after Slurm has stopped charging: until SIGKILL."""

NODE_FAIL, FAILED = "NODE_FAIL", "FAILED"


def group_by_job(allocations: Sequence[Allocation]) -> dict[str, list[Allocation]]:
    """Return job -> its allocations, by start: several where it was requeued."""
    by_job: dict[str, list[Allocation]] = {}
    for allocation in sorted(allocations, key=lambda allocation: allocation.start):
        by_job.setdefault(allocation.job, []).append(allocation)
    return by_job


def find_allocation(interval: AttemptInterval, by_job: Mapping[str, Sequence[Allocation]]) -> Allocation | None:
    """Find the allocation of its job that an attempt belongs to: the last one that had started when it began."""
    own = by_job.get(interval.process.job or "", [])
    begun = [allocation for allocation in own if allocation.start <= interval.origin + CLOCK_SECONDS]
    return begun[-1] if begun else next(iter(own), None)


def account_for(
    allocation: Allocation, intervals: Sequence[AttemptInterval], dead_node_seconds: float
) -> AllocationAccount:
    """Split an allocation by use. The parts add up to it, whatever the ledgers say."""
    attempts = [
        AttemptAccount(
            run=interval.run, attempt=interval.attempt, entry=interval.entry, seconds=add_silence(interval, allocation)
        )
        for interval in intervals
    ]
    own = Seconds.summed(attempt.seconds for attempt in attempts)
    launch = allocation.devices * launch_seconds(allocation, intervals)
    rest = allocation.allocated - launch - own.total
    shared = Seconds(start_up=launch, idle=max(0.0, rest), unexplained=min(0.0, rest))
    if allocation.state == NODE_FAIL:
        uncharged = allocation.devices * dead_node_seconds
    else:
        uncharged = sum_overtime(allocation, intervals)
    tolerated = TOLERATED_SHARE * allocation.allocated + TOLERATED_SECONDS * max(1, len(attempts)) + uncharged
    return AllocationAccount(
        **allocation.model_dump(),
        seconds=Seconds.summed([own, shared]),
        tolerated_seconds=tolerated,
        attempts=attempts,
    )


def add_silence(interval: AttemptInterval, allocation: Allocation) -> Seconds:
    """Return an attempt's seconds with those after its last sign of life, if it was killed and wrote no end.

    The silence ends with the allocation, or at the time by which the attempt was over for certain. One heartbeat of it
    counts as lost, because the process may have trained on; the rest is unexplained. If the job failed by itself
    (records could not be written), the process noticed at its next heartbeat and took up to one more to leave.
    """
    if interval.ended:
        return interval.seconds
    end = allocation.end if interval.until is None else min(interval.until, allocation.end)
    silence = max(0.0, end - interval.last)
    part = "lost" if interval.started else "start_up"
    known = min(silence, BEAT_SECONDS * (2 if allocation.state == FAILED else 1))
    killed = Seconds(unexplained=silence - known).model_copy(update={part: known})
    return Seconds.summed([interval.seconds, killed])


def sum_overtime(allocation: Allocation, intervals: Sequence[AttemptInterval]) -> float:
    """Sum the device seconds on record after the end of the allocation: interrupted runs still write checkpoints."""
    if allocation.state not in ENDED_BY_SIGNAL:
        return 0.0
    return math.fsum(min(max(0.0, interval.last - allocation.end), LINGER_SECONDS) for interval in intervals)


def launch_seconds(allocation: Allocation, intervals: Sequence[AttemptInterval]) -> float:
    """Wall seconds before the first process of a run started."""
    first = min((interval.origin for interval in intervals), default=allocation.end)
    return min(max(0.0, first - allocation.start), LAUNCH_SECONDS, float(allocation.elapsed_seconds))


def account_by_entry(allocations: Sequence[AllocationAccount]) -> list[EntryAccount]:
    """Sum each entry's own seconds and its share of the time outside of attempts, in proportion to its own seconds."""
    parts: dict[tuple[str, Currency], list[Seconds]] = {}
    attempts: Counter[tuple[str, Currency]] = Counter()
    for allocation in allocations:
        for attempt in allocation.attempts:
            parts.setdefault((attempt.entry, allocation.currency), []).append(attempt.seconds)
            attempts[attempt.entry, allocation.currency] += 1
        own = Seconds.summed(attempt.seconds for attempt in allocation.attempts)
        shared = Seconds.summed([allocation.seconds, own.scaled(-1.0)])
        for entry, share in compute_shares(allocation, allocations).items():
            parts.setdefault((entry, allocation.currency), []).append(shared.scaled(share))
    accounts = []
    for (entry, currency), own_parts in parts.items():
        seconds, count = Seconds.summed(own_parts), attempts[entry, currency]
        accounts.append(
            EntryAccount(entry=entry, currency=currency, allocated=seconds.total, attempts=count, seconds=seconds)
        )
    return accounts


def compute_shares(allocation: AllocationAccount, allocations: Sequence[AllocationAccount]) -> Mapping[str, float]:
    """Entry -> its share of the time outside of attempts, in sum 1.

    An allocation in which no attempt began is shared out like the other allocations of its job, else like those of its
    array, else like all.
    """
    nearer_first = (
        [allocation],
        [other for other in allocations if other.job == allocation.job],
        [other for other in allocations if other.array == allocation.array],
        allocations,
    )
    attempts = next(filter(None, ([own for other in near for own in other.attempts] for near in nearer_first)), [])
    held: dict[str, float] = {}
    for attempt in attempts:
        held[attempt.entry] = held.get(attempt.entry, 0.0) + max(0.0, attempt.seconds.total)
    total = sum(held.values())
    return {entry: seconds / total if total else 1.0 / len(held) for entry, seconds in held.items()}
