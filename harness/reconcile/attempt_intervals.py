"""What ledgers say about processes: when each attempt was there, and what its seconds went into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from harness.records.accounts import Seconds
from harness.records.ledger import useful_by_attempt
from harness.records.ledger_line import LedgerLine
from harness.records.place import Place
from harness.records.run_folder import UnitFolder
from harness.records.suite_folder import RunStore

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

    place:  None in ledgers of early versions.
    origin: when it began to hold its device: its process was born, or took the attempt up after an earlier one.
    last:   its last sign of life.
    until:  when it was over for certain (the unit's next attempt, or its result); None where nothing says so.
    ended:  it said that it ended, so nothing can follow `last`.
    started: it got as far as to know its checkpoint.
    seconds: from `origin` to `last`.
    """

    unit: str
    method: str
    attempt: int
    place: Place | None
    origin: float
    last: float
    until: float | None
    ended: bool
    started: bool
    seconds: Seconds


def read_lives(store: RunStore) -> list[Life]:
    """Every attempt at every unit on record, by time."""
    rows = row_names(store)
    found = [life for folder in store.folders() for life in unit_lives(folder, rows.get(folder.id))]
    return from_birth(sorted(found, key=lambda life: (life.origin, life.unit)))


def row_names(store: RunStore) -> dict[str, str]:
    """Unit -> the row of the suite that it counts for, finals and trials; the first one where rows share a unit."""
    points = store.points()
    found = {} if points is None else {trial.unit: trial.method for trial in reversed(points.trials)}
    if store.selection_path.exists():
        found |= {entry.unit: entry.slot.method for entry in reversed(store.selection().entries)}
    return found


def unit_lives(folder: UnitFolder, row: str | None) -> list[Life]:
    """The attempts at one unit, in order; one that a process took up first has not got that process's start yet.

    row: what it counts for in the suite; None for a unit that the suite no longer names.
    """
    lines = [line for line in folder.ledger.lines() if line.kind != "breach"]
    result = folder.result()
    settled = result is not None or folder.lease.held()
    useful = useful_by_attempt(lines, settled=settled)
    over = None if result is None or not result.finished_at else _epoch(result.finished_at)
    lives: list[Life] = []
    for attempt in sorted({line.attempt for line in lines}, reverse=True):
        own = [line for line in lines if line.attempt == attempt]
        until = lives[-1].origin if lives else over
        lives.append(_life(folder.id, row or folder.unit.method, own, useful.get(attempt, 0.0), until))
    return lives[::-1]


def _life(unit: str, method: str, lines: Sequence[LedgerLine], useful: float, until: float | None) -> Life:
    first, last = lines[0], lines[-1]
    origin, end = _epoch(first.at) - sum(first.wall_seconds.values()), _epoch(last.at)
    return Life(
        unit=unit,
        method=method,
        attempt=first.attempt,
        place=next((line.place for line in lines if line.place is not None), None),
        origin=origin,
        last=end,
        until=until,
        ended=last.kind == "end",
        started=any(line.kind == "start" for line in lines),
        seconds=spent(last, useful, end - origin),
    )


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
    return list(_from_birth(lives))


def _from_birth(lives: Sequence[Life]) -> Iterator[Life]:
    known = set()
    for life in lives:
        place = life.place
        born = None if place is None else place.process_started_at
        if place is None or born is None or (place.host, place.pid, born) in known:
            yield life
            continue
        known.add((place.host, place.pid, born))
        early = max(0.0, life.origin - _epoch(born))
        start_up = life.seconds.start_up + early
        seconds = life.seconds.model_copy(update={"start_up": start_up})
        yield replace(life, origin=life.origin - early, seconds=seconds)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
