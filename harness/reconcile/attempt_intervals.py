"""What ledgers say about processes: when each attempt was there, and what its seconds went into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.api.errors import RecordError
from harness.records.accounts import Seconds
from harness.records.ledger import useful_by_attempt
from harness.records.ledger_line import LedgerLine
from harness.records.place import Place
from harness.records.reader import RunRecord, SuiteRecords

PARTS = {
    **dict.fromkeys(("data", "build", "warmup"), "start_up"),
    **dict.fromkeys(("checkpoint", "log"), "checkpoint"),
    **dict.fromkeys(("unaccounted",), "unexplained"),
    "idle": "idle",
}
"""Wall phase -> what it counts as; `train` is split into useful and lost, anything else is evaluation."""


@dataclass(frozen=True)
class Life:
    """One attempt. Times are seconds since the epoch, by the clock of its machine.

    method: the entry of the suite that it counts for.
    origin: when it began to hold its device: its process was born, or took the attempt up after an earlier one.
    last:   its last sign of life.
    until:  when it was over for certain (the run's next attempt, or its result); None where nothing says so.
    ended:  it said that it ended, so nothing can follow `last`.
    started: it got as far as to know its checkpoint.
    seconds: from `origin` to `last`.
    """

    run: str
    method: str
    attempt: int
    place: Place
    origin: float
    last: float
    until: float | None
    ended: bool
    started: bool
    seconds: Seconds


def read_lives(records: SuiteRecords) -> list[Life]:
    """Every attempt at every run on record, by time. Raises `RecordError` where a ledger does not say where it ran."""
    entries = entry_names(records)
    lives = [life for run in records.runs for life in run_lives(run, entries.get(run.id, run.run.method))]
    return from_birth(sorted(lives, key=lambda life: (life.origin, life.run)))


def entry_names(records: SuiteRecords) -> dict[str, str]:
    """Run -> the entry of the suite that it counts for, finals and trials; the first where several share a run."""
    trials = [] if records.trials is None else records.trials.trials
    names = {trial.run: trial.entry for trial in reversed(trials)}
    return names | {entry.run: entry.planned_run.entry for entry, _ in reversed(records.selected)}


def run_lives(run: RunRecord, entry: str) -> list[Life]:
    """The attempts at one run, in order; one that a process took up first has not got that process's start yet."""
    lines = [line for line in run.ledger if line.kind != "violation"]
    settled = run.result is not None or run.folder.lease.held()
    useful = useful_by_attempt(lines, settled=settled)
    until = None if run.result is None else _epoch(run.result.finished_at)
    lives: list[Life] = []
    for attempt in sorted({line.attempt for line in lines}, reverse=True):
        own = [line for line in lines if line.attempt == attempt]
        first, last, place = own[0], own[-1], own[0].place
        if place is None:
            raise RecordError(f"{run.folder.ledger.path}: attempt {attempt} does not say where it ran")
        origin, end = _epoch(first.at) - sum(first.wall_seconds.values()), _epoch(last.at)
        life = Life(
            run=run.id,
            method=entry,
            attempt=attempt,
            place=place,
            origin=origin,
            last=end,
            until=until,
            ended=last.kind == "end",
            started=any(line.kind == "start" for line in own),
            seconds=spent(last, useful.get(attempt, 0.0), end - origin),
        )
        lives.append(life)
        until = origin
    return lives[::-1]


def spent(last: LedgerLine, useful: float, wall_seconds: float) -> Seconds:
    """What an attempt's wall seconds went into, by its last line; useful: device seconds of it that count.

    Wall time in training steps is shared out between useful and lost as the device seconds are.
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


def from_birth(lives: Sequence[Life]) -> list[Life]:
    """The first attempt of each process begins when the process did; what came before its first line is start-up."""
    known, adjusted = set(), list[Life]()
    for life in lives:
        born = life.place.process_started_at
        process = life.place.host, life.place.pid, born
        if born is not None and process not in known:
            known.add(process)
            early = max(0.0, life.origin - _epoch(born))
            seconds = life.seconds.model_copy(update={"start_up": life.seconds.start_up + early})
            adjusted.append(replace(life, origin=life.origin - early, seconds=seconds))
        else:
            adjusted.append(life)
    return adjusted


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
