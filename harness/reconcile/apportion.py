"""Shares allocations out: among attempts what is theirs, among methods what belongs to nobody. Nothing gets lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from harness.reconcile.attempt_intervals import Life
from harness.records.accounts import (
    TOLERATED_SECONDS,
    TOLERATED_SHARE,
    AllocationAccount,
    AttemptAccount,
    Currency,
    MethodAccount,
    Seconds,
)
from harness.records.ledger import BEAT_SECONDS
from harness.slurm.accounting import Allocation

LAUNCH_SECONDS = 300.0
"""How long a job may take to its first unit (prolog, modules, Ray) before its devices count as idle."""

CLOCK_SECONDS = 2.0
"""Slurm's times are whole seconds, and clocks of machines differ a little."""

TOLD_TO_STOP = ("CANCELLED", "PREEMPTED", "TIMEOUT", "REQUEUED", "DEADLINE")
LINGER_SECONDS = 60.0
"""How long processes that were told to stop may live on after Slurm has stopped charging: until SIGKILL."""

NODE_FAIL, FAILED = "NODE_FAIL", "FAILED"


def runs_of(allocations: Sequence[Allocation]) -> dict[str, list[Allocation]]:
    """Job -> its runs, by start."""
    found: dict[str, list[Allocation]] = {}
    for one in sorted(allocations, key=lambda one: one.start):
        found.setdefault(one.job, []).append(one)
    return found


def find(life: Life, runs: Mapping[str, Sequence[Allocation]]) -> Allocation | None:
    """The run of its job that an attempt belongs to: the last one that had started when it began."""
    own = runs.get((life.place.job if life.place is not None else None) or "", [])
    begun = [one for one in own if one.start <= life.origin + CLOCK_SECONDS]
    return begun[-1] if begun else next(iter(own), None)


def account(allocation: Allocation, lives: Sequence[Life], dead_node_seconds: float) -> AllocationAccount:
    """An allocation by what it went into; the parts add up to it, whatever the ledgers say."""
    attempts = [
        AttemptAccount(unit=life.unit, attempt=life.attempt, method=life.method, seconds=with_silence(life, allocation))
        for life in lives
    ]
    own = Seconds.summed(one.seconds for one in attempts)
    launch = allocation.devices * launch_seconds(allocation, lives)
    rest = allocation.allocated - launch - own.total
    shared = Seconds(start_up=launch, idle=max(0.0, rest), unexplained=min(0.0, rest))
    uncharged = allocation.devices * dead_node_seconds if allocation.state == NODE_FAIL else overtime(allocation, lives)
    return AllocationAccount(
        job=allocation.job,
        name=allocation.name,
        state=allocation.state,
        node=allocation.node,
        gres=allocation.gres,
        currency=allocation.currency,
        devices=allocation.devices,
        started_at=datetime.fromtimestamp(allocation.start, UTC).isoformat(timespec="seconds"),
        elapsed_seconds=allocation.elapsed_seconds,
        open=allocation.open,
        seconds=Seconds.summed([own, shared]),
        tolerated_seconds=(
            TOLERATED_SHARE * allocation.allocated + TOLERATED_SECONDS * max(1, len(attempts)) + uncharged
        ),
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
    """Wall seconds before the first process of a unit was born."""
    first = min((life.origin for life in lives), default=allocation.end)
    return min(max(0.0, first - allocation.start), LAUNCH_SECONDS, float(allocation.elapsed_seconds))


def by_method(allocations: Sequence[AllocationAccount]) -> list[MethodAccount]:
    """Each method's own seconds, and its share of what no attempt held: as it held the devices of that allocation."""
    parts: dict[tuple[str, Currency], list[Seconds]] = {}
    attempts: Counter[tuple[str, Currency]] = Counter()
    for allocation in allocations:
        own = Seconds.summed(one.seconds for one in allocation.attempts)
        shared = Seconds.summed([allocation.seconds, own.scaled(-1.0)])
        for one in allocation.attempts:
            parts.setdefault((one.method, allocation.currency), []).append(one.seconds)
            attempts[one.method, allocation.currency] += 1
        for method, share in shares(allocation, allocations).items():
            parts.setdefault((method, allocation.currency), []).append(shared.scaled(share))
    sums = {key: Seconds.summed(found) for key, found in parts.items()}
    return [
        MethodAccount(
            method=method,
            currency=currency,
            allocated=seconds.total,
            attempts=attempts[method, currency],
            seconds=seconds,
        )
        for (method, currency), seconds in sums.items()
    ]


def shares(allocation: AllocationAccount, allocations: Sequence[AllocationAccount]) -> Mapping[str, float]:
    """Method -> its share of what no attempt held, in sum 1.

    An allocation in which no attempt began is shared out as the other runs of its job were, else as those of its
    array, else as all.
    """
    array = allocation.name.partition("_")[0]
    circles = (
        [allocation],
        [one for one in allocations if one.job == allocation.job],
        [one for one in allocations if one.name.partition("_")[0] == array],
        allocations,
    )
    near = next((circle for circle in circles if any(one.attempts for one in circle)), allocations)
    held: dict[str, float] = {}
    for attempt in (attempt for one in near for attempt in one.attempts):
        held[attempt.method] = held.get(attempt.method, 0.0) + max(0.0, attempt.seconds.total)
    total = sum(held.values())
    return {method: seconds / total if total else 1.0 / len(held) for method, seconds in held.items()}
