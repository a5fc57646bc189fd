"""Intervals of attempts, read from the ledgers: when each attempt held its device, and what its seconds went into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.api.errors import RecordError
from harness.records.accounts import Seconds
from harness.records.ledger import LedgerLine, ProcessInfo, useful_by_attempt
from harness.records.reader import RunRecord, SuiteRecords

PARTS = {
    **dict.fromkeys(("data", "build", "warmup"), "start_up"),
    **dict.fromkeys(("checkpoint", "log"), "checkpoint"),
    **dict.fromkeys(("unaccounted",), "unexplained"),
    "idle": "idle",
}
"""Wall phase -> what it counts as; `train` is split into useful and lost, anything else is evaluation."""


@dataclass(frozen=True)
class AttemptInterval:
    """The interval of one attempt. Times are seconds since the epoch, by the clock of its machine.

    entry:  the entry of the suite that it counts for.
    origin: when it began to hold its device: its process started, or took the attempt up after an earlier one.
    last:   its last sign of life.
    until:  when it was over for certain (the run's next attempt, or its result); None if unknown.
    ended:  whether its ledger has its end, so that nothing follows `last`.
    started: whether it loaded its checkpoint and began to train.
    seconds: from `origin` to `last`.
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
    entries = map_runs_to_entries(records)
    intervals = [
        interval for run in records.runs for interval in run_intervals(run, entries.get(run.id, run.run.method))
    ]
    return extend_to_process_start(sorted(intervals, key=lambda interval: (interval.origin, interval.run)))


def map_runs_to_entries(records: SuiteRecords) -> dict[str, str]:
    """Return run -> the entry of the suite that it counts for, finals and trials; the first if several share a run."""
    trials = [] if records.trials is None else records.trials.trials
    names = {trial.run: trial.entry for trial in reversed(trials)}
    return names | {entry.run: entry.planned_run.entry for entry, _ in reversed(records.selected)}


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
        if process is None:
            raise RecordError(f"{run.folder.ledger.path}: attempt {attempt} does not say where it ran")
        origin, end = _epoch(first.at) - sum(first.wall_seconds.values()), _epoch(last.at)
        interval = AttemptInterval(
            run=run.id,
            entry=entry,
            attempt=attempt,
            process=process,
            origin=origin,
            last=end,
            until=until,
            ended=last.kind == "end",
            started=any(line.kind == "start" for line in own),
            seconds=split_by_use(last, useful.get(attempt, 0.0), end - origin),
        )
        intervals.append(interval)
        until = origin
    return intervals[::-1]


def split_by_use(last: LedgerLine, useful: float, wall_seconds: float) -> Seconds:
    """Split an attempt's wall seconds by use, from its last line. useful: device seconds of it that count.

    Wall time in training steps is divided into useful and lost in the proportion of the device seconds.
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
        started_at = interval.process.process_started_at
        process = interval.process.host, interval.process.pid, started_at
        if started_at is not None and process not in processes:
            processes.add(process)
            early = max(0.0, interval.origin - _epoch(started_at))
            seconds = interval.seconds.model_copy(update={"start_up": interval.seconds.start_up + early})
            adjusted.append(replace(interval, origin=interval.origin - early, seconds=seconds))
        else:
            adjusted.append(interval)
    return adjusted


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
