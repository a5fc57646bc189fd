"""The append-only record of what a run spent, across interruptions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.api.strict import Instant, Strict
from harness.records.append_only import AppendOnly
from harness.records.checksums import seal_line
from harness.records.files import write_bytes
from harness.records.schema import Spent

BEAT_SECONDS = 5.0
"""A living run writes a line at least so often."""


class ProcessInfo(Strict):
    """One process. What Slurm does not say, or outside of it, is None."""

    host: str
    pid: int
    process_started_at: Instant | None = Field(description="when the process was created, UTC, ISO 8601")
    gpu_uuid: str | None = Field(description="of the GPU that trains; None on a CPU")
    job: str | None = Field(None, description="Slurm's id of the job; each task of an array has one of its own")
    array_job: str | None = Field(None, description="the job id that the tasks of an array share")
    array_index: int | None = None
    node: str | None = Field(None, description="Slurm's name of the node")
    gres: str | None = Field(None, description="GPUs of the job on this node as they were asked for: gpu:a100:2, gpu:1")
    restarts: int | None = Field(None, description="times that Slurm had requeued the job before")


class LedgerLine(Strict):
    """One line of ledger.jsonl. Seconds and steps are those of this attempt so far; `base_*` are those it resumed from.

    begin: first line of an attempt, with its process and machine.
    start: the base of the attempt is known.
    """

    schema_version: Literal[2] = 2
    kind: Literal["begin", "start", "heartbeat", "checkpoint", "end", "violation"]
    attempt: int = Field(ge=0)
    at: Instant = Field(description="UTC, ISO 8601")
    environment: str = Field(description="fingerprint")
    base_device_seconds: float = Field(0.0, ge=0)
    base_steps: int = Field(0, ge=0)
    device_seconds: float = Field(0.0, ge=0, description="charged in this attempt")
    steps: int = Field(0, ge=0, description="finished in this attempt")
    wall_seconds: dict[str, float] = Field(default_factory=dict, description="by phase, in this attempt")
    process: ProcessInfo | None = Field(None, description="of a line `begin`")
    note: str | None = None


class Ledger(AppendOnly[LedgerLine]):
    """ledger.jsonl."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, LedgerLine)

    def spent(self) -> Spent:
        return summarise(self.lines())

    def forget_repeated(self) -> None:
        kept = without_repeated(self.lines())
        write_bytes(self.path, b"".join(seal_line(line.model_dump_json()) for line in kept))


def without_repeated(lines: Sequence[LedgerLine]) -> list[LedgerLine]:
    """All lines but heartbeats and checkpoints that a later one of their attempt says again."""
    last = {line.attempt: place for place, line in enumerate(lines) if line.kind != "violation"}
    bases = {line.attempt: place for place, line in enumerate(lines) if line.kind == "checkpoint"}
    kept = {*last.values(), *bases.values()}
    kinds = ("heartbeat", "checkpoint")
    return [line for place, line in enumerate(lines) if line.kind not in kinds or line.note or place in kept]


def summarise(lines: Sequence[LedgerLine]) -> Spent:
    """Sum over attempts: useful seconds and steps once, lost ones on their own.

    The base (checkpoint) of the last attempt and what that attempt spent are useful. All else is lost.
    """
    last = _last_lines(lines)
    if not last:
        return Spent(useful_device_seconds=0, lost_device_seconds=0, useful_steps=0, lost_steps=0, attempts=0)
    return _spent(last, last[max(last)])


def _spent(last: Mapping[int, LedgerLine], kept: LedgerLine) -> Spent:
    """Of these last lines; the base and the spending of `kept` are useful."""
    seconds = sum(line.device_seconds for line in last.values())
    steps = sum(line.steps for line in last.values())
    useful_seconds = kept.base_device_seconds + kept.device_seconds
    useful_steps = kept.base_steps + kept.steps
    return Spent(
        useful_device_seconds=useful_seconds,
        lost_device_seconds=max(0.0, seconds - useful_seconds),
        useful_steps=useful_steps,
        lost_steps=max(0, steps - useful_steps),
        attempts=len(last),
    )


def _last_lines(lines: Sequence[LedgerLine]) -> dict[int, LedgerLine]:
    """By attempt, of those that knew their base."""
    started = {line.attempt for line in lines if line.kind == "start"}
    return {line.attempt: line for line in lines if line.kind != "violation" and line.attempt in started}


def summarise_at_rest(lines: Sequence[LedgerLine]) -> Spent:
    """`summarise` for a run that has not ended and that no process runs: it goes on from its checkpoint.

    What its last attempt spent after that is lost; `summarise` counts it so only once the next attempt has begun.
    """
    last = _last_lines(lines)
    if not last:
        return summarise(lines)
    end = last[max(last)]
    kept = [line for line in lines if line.attempt == end.attempt and line.kind in ("start", "checkpoint")][-1]
    return _spent(last, kept)


def useful_by_attempt(lines: Sequence[LedgerLine], *, settled: bool) -> dict[int, float]:
    """Useful device seconds by attempt, which add up to those of the run; the others are lost.

    settled: the run has ended, or a process runs it. Otherwise `summarise_at_rest` applies.
    """
    left = (summarise if settled else summarise_at_rest)(lines).useful_device_seconds
    last = _last_lines(lines)
    useful = {}
    for attempt in sorted(last, reverse=True):
        base = last[attempt].base_device_seconds
        useful[attempt] = min(max(0.0, left - base), last[attempt].device_seconds)
        left = min(left, base)
    return useful


def wall_by_phase(lines: Sequence[LedgerLine]) -> dict[str, float]:
    """Wall seconds by phase, summed over attempts."""
    last: dict[int, LedgerLine] = {line.attempt: line for line in lines if line.kind != "violation"}
    total: dict[str, float] = defaultdict(float)
    for line in last.values():
        for phase, seconds in line.wall_seconds.items():
            total[phase] += seconds
    return dict(total)
