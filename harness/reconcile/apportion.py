"""Shares allocations out: its own time to each attempt, and the rest among entries. The parts add up to the whole."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.api.errors import RecordError
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
from harness.records.ledger import BEAT_SECONDS, LedgerLine, ProcessInfo, useful_by_attempt
from harness.records.reader import RunRecord, SuiteRecords

PARTS = {
    **dict.fromkeys(("data", "build", "warmup", "compile"), "start_up"),
    **dict.fromkeys(("checkpoint", "log"), "checkpoint"),
    **dict.fromkeys(("unaccounted",), "unexplained"),
    "idle": "idle",
}
"""Wall phase -> what it counts as; `train` is split into useful and lost, anything else is evaluation."""

LAUNCH_SECONDS = 300.0
"""How long a job may take to its first run (prolog, modules, Ray) before its devices count as idle."""

CLOCK_SECONDS = 2.0
"""Slurm's times are whole seconds, and clocks of machines differ a little."""

ENDED_BY_SIGNAL = ("CANCELLED", "PREEMPTED", "TIMEOUT", "REQUEUED", "DEADLINE")
LINGER_SECONDS = 60.0
"""How long signalled processes may run on after Slurm has stopped charging: until SIGKILL."""

NODE_FAIL, FAILED = "NODE_FAIL", "FAILED"


@dataclass(frozen=True)
class AttemptInterval:
    """The interval of one attempt. Times are seconds since the epoch, by the clock of its machine.

    origin: when it began to hold its device: its process started, or took the attempt up after an earlier one.
    last:   its last sign of life; seconds: from `origin` to it.
    until:  when it was over for certain (the run's next attempt, or its result); None if unknown.
    ended:  whether its ledger has its end, so that nothing follows `last`.
    started: whether it loaded its checkpoint and began to train.
    """

    run: str
    entry: str
    attempt: int
    process: ProcessInfo
    origin: float
    last: float
    until: float | None
    ended: bool
    started: bool
    seconds: Seconds


def read_intervals(records: SuiteRecords) -> list[AttemptInterval]:
    """Read every attempt at every run on record, by time. Raises `RecordError` for one without its process."""
    names = records.entry_of
    intervals = [part for run in records.runs for part in run_intervals(run, names.get(run.id, run.run.method))]
    return extend_to_process_start(sorted(intervals, key=lambda interval: (interval.origin, interval.run)))


def run_intervals(run: RunRecord, entry: str) -> list[AttemptInterval]:
    """Read the attempts at one run, in order, without the start of their processes."""
    lines = [line for line in run.ledger if line.kind != "violation"]
    settled = run.result is not None or run.folder.lease.held()
    useful = useful_by_attempt(lines, settled=settled)
    until = None if run.result is None else _epoch(run.result.finished_at)
    intervals: list[AttemptInterval] = []
    for attempt in sorted({line.attempt for line in lines}, reverse=True):
        own = [line for line in lines if line.attempt == attempt]
        first, last, process = own[0], own[-1], own[0].process
        if first.kind == "end":  # its process died before it began, and wrote nothing itself
            continue
        if process is None:
            raise RecordError(f"{run.folder.ledger.path}: attempt {attempt} does not say where it ran")
        origin, end = _epoch(first.at) - sum(first.wall_seconds.values()), _epoch(last.at)
        seconds = split_by_use(last, useful.get(attempt, 0.0), end - origin)
        ended, started = last.kind == "end", any(line.kind == "start" for line in own)
        intervals.append(AttemptInterval(run.id, entry, attempt, process, origin, end, until, ended, started, seconds))
        until = origin
    return intervals[::-1]


def split_by_use(last: LedgerLine, useful: float, wall_seconds: float) -> Seconds:
    """An attempt's wall seconds by use, from its last line. useful: device seconds of it that count.

    Wall time in training steps is useful and lost in the proportion of the device seconds.
    """
    parts = dict.fromkeys(Seconds.model_fields, 0.0)
    for phase, seconds in last.wall_seconds.items():
        if phase == "train":
            share = useful / last.device_seconds if last.device_seconds else 1.0
            parts["useful"] += share * seconds
            parts["lost"] += (1.0 - share) * seconds
        else:
            parts[PARTS.get(phase, "evaluation")] += seconds
    parts["unexplained"] += wall_seconds - sum(parts.values())
    return Seconds(**parts)


def extend_to_process_start(intervals: Sequence[AttemptInterval]) -> list[AttemptInterval]:
    """Let the first attempt of each process begin with the process; the time before its first line is start-up."""
    processes, adjusted = set(), list[AttemptInterval]()
    for interval in intervals:
        born, early = interval.process.process_started_at, 0.0
        process = interval.process.host, interval.process.pid, born
        if born is not None and process not in processes:
            early = max(0.0, interval.origin - _epoch(born))
        seconds = Seconds.summed([interval.seconds, Seconds(start_up=early)])
        adjusted.append(replace(interval, origin=interval.origin - early, seconds=seconds))
        processes.add(process)
    return adjusted


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def group_by_job(allocations: Sequence[Allocation]) -> dict[str, list[Allocation]]:
    """Job -> its allocations, by start: several where it was requeued."""
    by_job: dict[str, list[Allocation]] = {}
    for allocation in sorted(allocations, key=lambda allocation: allocation.start):
        by_job.setdefault(allocation.job, []).append(allocation)
    return by_job


def find_allocation(interval: AttemptInterval, by_job: Mapping[str, Sequence[Allocation]]) -> Allocation | None:
    """The allocation of its job that an attempt belongs to: the last one that had started when it began."""
    own = by_job.get(interval.process.job or "", [])
    begun = [allocation for allocation in own if allocation.start <= interval.origin + CLOCK_SECONDS]
    return begun[-1] if begun else next(iter(own), None)


def account_for(
    allocation: Allocation, intervals: Sequence[AttemptInterval], dead_node_seconds: float
) -> AllocationAccount:
    """Split an allocation by use. The parts add up to it, whatever the ledgers say."""
    attempts = [
        AttemptAccount(run=part.run, attempt=part.attempt, entry=part.entry, seconds=add_silence(part, allocation))
        for part in intervals
    ]
    own = Seconds.summed(attempt.seconds for attempt in attempts)
    first = min((interval.origin for interval in intervals), default=allocation.end)
    wall = min(max(0.0, first - allocation.start), LAUNCH_SECONDS, float(allocation.elapsed_seconds))
    launch = allocation.devices * wall
    rest = allocation.allocated - launch - own.total
    shared = Seconds(start_up=launch, idle=max(0.0, rest), unexplained=min(0.0, rest))
    uncharged = 0.0
    if allocation.state == NODE_FAIL:
        uncharged = allocation.devices * dead_node_seconds
    elif allocation.state in ENDED_BY_SIGNAL:  # interrupted runs still write checkpoints
        uncharged = math.fsum(min(max(0.0, part.last - allocation.end), LINGER_SECONDS) for part in intervals)
    tolerated = TOLERATED_SHARE * allocation.allocated + TOLERATED_SECONDS * max(1, len(attempts)) + uncharged
    seconds = Seconds.summed([own, shared])
    return AllocationAccount(**allocation.model_dump(), seconds=seconds, tolerated_seconds=tolerated, attempts=attempts)


def add_silence(interval: AttemptInterval, allocation: Allocation) -> Seconds:
    """An attempt's seconds with those after its last sign of life, if it was killed and wrote no end.

    The silence ends with the allocation, or when the attempt was over for certain. One heartbeat of it counts as lost,
    because the process may have trained on; the rest is unexplained. If the job failed by itself (records could not be
    written), the process noticed at its next heartbeat and took up to one more to leave.
    """
    if interval.ended:
        return interval.seconds
    end = allocation.end if interval.until is None else min(interval.until, allocation.end)
    silence = max(0.0, end - interval.last)
    part = "lost" if interval.started else "start_up"
    known = min(silence, BEAT_SECONDS * (2 if allocation.state == FAILED else 1))
    killed = Seconds(unexplained=silence - known).model_copy(update={part: known})
    return Seconds.summed([interval.seconds, killed])


def account_by_entry(allocations: Sequence[AllocationAccount]) -> list[EntryAccount]:
    """Each entry's own seconds and its share of the time outside of attempts, in proportion to its own seconds."""
    held: dict[tuple[str, Currency], list[tuple[int, Seconds]]] = {}
    for allocation in allocations:
        parts = [(attempt.entry, 1, attempt.seconds) for attempt in allocation.attempts]
        rest = Seconds.summed([allocation.seconds, *(seconds.scaled(-1.0) for _, _, seconds in parts)])
        parts += [(entry, 0, rest.scaled(share)) for entry, share in compute_shares(allocation, allocations).items()]
        for entry, count, seconds in parts:
            held.setdefault((entry, allocation.currency), []).append((count, seconds))
    sums = {key: (sum(count for count, _ in own), Seconds.summed(part for _, part in own)) for key, own in held.items()}
    return [
        EntryAccount(entry=entry, currency=currency, attempts=count, allocated=seconds.total, seconds=seconds)
        for (entry, currency), (count, seconds) in sums.items()
    ]


def compute_shares(allocation: AllocationAccount, allocations: Sequence[AllocationAccount]) -> Mapping[str, float]:
    """Entry -> its share of the time outside of attempts, in sum 1.

    An allocation in which no attempt began is shared out like the others of its job, else of its array, else like all.
    """
    nearer_first = (
        [allocation],
        [other for other in allocations if other.job == allocation.job],
        [other for other in allocations if other.array == allocation.array],
        allocations,
    )
    attempts = next(filter(None, ([own for other in near for own in other.attempts] for near in nearer_first)), [])
    held = dict.fromkeys((attempt.entry for attempt in attempts), 0.0)
    for attempt in attempts:
        held[attempt.entry] += max(0.0, attempt.seconds.total)
    total = sum(held.values())
    return {entry: seconds / total if total else 1.0 / len(held) for entry, seconds in held.items()}
