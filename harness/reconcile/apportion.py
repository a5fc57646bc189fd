"""Shares allocations out: among attempts what is theirs, among methods what belongs to nobody. Nothing gets lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.reconcile.attempt_intervals import Life
from harness.records.accounts import (
    TOLERATED_SECONDS,
    TOLERATED_SHARE,
    Allocation,
    AllocationAccount,
    AttemptAccount,
    Currency,
    MethodAccount,
    Seconds,
)
from harness.records.ledger import BEAT_SECONDS

LAUNCH_SECONDS = 300.0
"""How long a job may take to its first run (prolog, modules, Ray) before its devices count as idle."""

CLOCK_SECONDS = 2.0
"""Slurm's times are whole seconds, and clocks of machines differ a little."""

TOLD_TO_STOP = ("CANCELLED", "PREEMPTED", "TIMEOUT", "REQUEUED", "DEADLINE")
LINGER_SECONDS = 60.0
"""How long processes that were told to stop may live on after Slurm has stopped charging: until SIGKILL."""

NODE_FAIL, FAILED = "NODE_FAIL", "FAILED"


def runs_of(allocations: Sequence[Allocation]) -> dict[str, list[Allocation]]:
    """Job -> its runs, by start."""
    runs: dict[str, list[Allocation]] = {}
    for allocation in sorted(allocations, key=lambda allocation: allocation.start):
        runs.setdefault(allocation.job, []).append(allocation)
    return runs


def find(life: Life, runs: Mapping[str, Sequence[Allocation]]) -> Allocation | None:
    """The run of its job that an attempt belongs to: the last one that had started when it began."""
    own = runs.get(life.place.job or "", [])
    begun = [allocation for allocation in own if allocation.start <= life.origin + CLOCK_SECONDS]
    return begun[-1] if begun else next(iter(own), None)


def account(allocation: Allocation, lives: Sequence[Life], dead_node_seconds: float) -> AllocationAccount:
    """An allocation by what it went into; the parts add up to it, whatever the ledgers say."""
    attempts = [
        AttemptAccount(run=life.run, attempt=life.attempt, method=life.method, seconds=with_silence(life, allocation))
        for life in lives
    ]
    own = Seconds.summed(attempt.seconds for attempt in attempts)
    launch = allocation.devices * launch_seconds(allocation, lives)
    rest = allocation.allocated - launch - own.total
    shared = Seconds(start_up=launch, idle=max(0.0, rest), unexplained=min(0.0, rest))
    uncharged = allocation.devices * dead_node_seconds if allocation.state == NODE_FAIL else overtime(allocation, lives)
    tolerated = TOLERATED_SHARE * allocation.allocated + TOLERATED_SECONDS * max(1, len(attempts)) + uncharged
    return AllocationAccount(
        **allocation.model_dump(),
        seconds=Seconds.summed([own, shared]),
        tolerated_seconds=tolerated,
        attempts=attempts,
    )


def with_silence(life: Life, allocation: Allocation) -> Seconds:
    """An attempt's seconds with those after its last sign of life, where it was killed without a word.

    They end with the allocation, or with what says that the attempt was over. Up to a heartbeat the process lived on
    and what it did is lost; nothing explains more. Where the job failed by itself (its records could not be written)
    the process learnt so from its next heartbeat, and had as long again to leave.
    """
    if life.ended:
        return life.seconds
    end = allocation.end if life.until is None else min(life.until, allocation.end)
    silence = max(0.0, end - life.last)
    part = "lost" if life.started else "start_up"
    known = min(silence, BEAT_SECONDS * (2 if allocation.state == FAILED else 1))
    killed = Seconds(unexplained=silence - known).model_copy(update={part: known})
    return Seconds.summed([life.seconds, killed])


def overtime(allocation: Allocation, lives: Sequence[Life]) -> float:
    """Device seconds on record from after the end of the allocation: what was told to stop writes its checkpoint."""
    if allocation.state not in TOLD_TO_STOP:
        return 0.0
    return math.fsum(min(max(0.0, life.last - allocation.end), LINGER_SECONDS) for life in lives)


def launch_seconds(allocation: Allocation, lives: Sequence[Life]) -> float:
    """Wall seconds before the first process of a run was born."""
    first = min((life.origin for life in lives), default=allocation.end)
    return min(max(0.0, first - allocation.start), LAUNCH_SECONDS, float(allocation.elapsed_seconds))


def by_method(allocations: Sequence[AllocationAccount]) -> list[MethodAccount]:
    """Each method's own seconds, and its share of what no attempt held: as it held the devices of that allocation."""
    parts: dict[tuple[str, Currency], list[Seconds]] = {}
    attempts: Counter[tuple[str, Currency]] = Counter()
    for allocation in allocations:
        for attempt in allocation.attempts:
            parts.setdefault((attempt.method, allocation.currency), []).append(attempt.seconds)
            attempts[attempt.method, allocation.currency] += 1
        own = Seconds.summed(attempt.seconds for attempt in allocation.attempts)
        shared = Seconds.summed([allocation.seconds, own.scaled(-1.0)])
        for method, share in shares(allocation, allocations).items():
            parts.setdefault((method, allocation.currency), []).append(shared.scaled(share))
    accounts = []
    for (method, currency), own_parts in parts.items():
        seconds, count = Seconds.summed(own_parts), attempts[method, currency]
        accounts.append(
            MethodAccount(method=method, currency=currency, allocated=seconds.total, attempts=count, seconds=seconds)
        )
    return accounts


def shares(allocation: AllocationAccount, allocations: Sequence[AllocationAccount]) -> Mapping[str, float]:
    """Method -> its share of what no attempt held, in sum 1.

    An allocation in which no attempt began is shared out as the other runs of its job were, else as those of its
    array, else as all.
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
        held[attempt.method] = held.get(attempt.method, 0.0) + max(0.0, attempt.seconds.total)
    total = sum(held.values())
    return {method: seconds / total if total else 1.0 / len(held) for method, seconds in held.items()}
