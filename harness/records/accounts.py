"""reconciliation.json: what Slurm charged for a suite, beside the ledgers of the same time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import Field

from harness.api.strict import Instant, Strict

Currency = Literal["GPU", "CPU"]
"""What an allocation is counted in: its GPUs, or its CPUs where it has none."""

TOLERATED_SHARE, TOLERATED_SECONDS = 0.02, 2.0
"""What may stay unexplained: share of an allocation, and seconds for each attempt in it."""


class Seconds(Strict):
    """Device seconds of an allocation by use. A run takes one device from the start of its process on.

    lost:        in training steps that an interruption destroyed, and for a heartbeat after a process's last one.
    start_up:    up to the first process of the allocation, and in each process up to its first step.
    unexplained: all else; negative where the ledgers say more than was allocated.
    """

    useful: float = 0.0
    lost: float = 0.0
    evaluation: float = 0.0
    checkpoint: float = 0.0
    start_up: float = 0.0
    idle: float = 0.0
    unexplained: float = 0.0

    @property
    def total(self) -> float:
        """The allocation."""
        return self.ledger + self.idle + self.unexplained

    @property
    def ledger(self) -> float:
        return self.training + self.evaluation + self.checkpoint + self.start_up

    @property
    def training(self) -> float:
        return self.useful + self.lost

    def scaled(self, factor: float) -> Seconds:
        return Seconds(**{name: factor * value for name, value in self.model_dump().items()})

    @staticmethod
    def summed(parts: Iterable[Seconds]) -> Seconds:
        every = [part.model_dump() for part in parts]
        return Seconds(**{name: sum(part[name] for part in every) for name in Seconds.model_fields})


class AttemptAccount(Strict):
    """One attempt at a run inside one allocation; seconds without idle time."""

    run: str
    attempt: int
    entry: str = Field(description="the entry's name in the suite")
    seconds: Seconds


class Allocation(Strict):
    """One line of the scheduler's accounts: a job, or one of its runs where it was requeued.

    name: as Slurm writes it: 12, or 12_3 for a task of an array; job is the number that each task has of its own.
    gres: gpu, or gpu:TYPE where the accounts tell the type; None without GPUs.
    open: it still runs, so its figures are not final and nothing is judged.
    """

    job: str
    name: str
    state: str
    node: str
    gres: str | None
    currency: Currency
    devices: int
    started_at: Instant
    elapsed_seconds: int
    open: bool

    @property
    def allocated(self) -> float:
        """Device seconds that the scheduler charged."""
        return float(self.devices * self.elapsed_seconds)

    @property
    def array(self) -> str:
        """The number that the tasks of an array share; of another job its own."""
        return self.name.partition("_")[0]

    @property
    def start(self) -> float:
        """In seconds since the epoch."""
        return datetime.fromisoformat(self.started_at).timestamp()

    @property
    def end(self) -> float:
        """In seconds since the epoch; where it still runs, when the accounts were read."""
        return self.start + self.elapsed_seconds


class AllocationAccount(Allocation):
    """An allocation by use, its attempts included; tolerated_seconds: what may stay unexplained."""

    seconds: Seconds
    tolerated_seconds: float
    attempts: list[AttemptAccount]

    @property
    def violation(self) -> bool:
        return not self.open and abs(self.seconds.unexplained) > self.tolerated_seconds


class EntryAccount(Strict):
    """One entry of a suite over all its allocations and its share of their idle time; finals and trials alike."""

    entry: str
    currency: Currency
    allocated: float
    attempts: int
    seconds: Seconds

    @property
    def ledger_ratio(self) -> float:
        return self.seconds.ledger / self.allocated if self.allocated else 0.0

    @property
    def training_share(self) -> float:
        return self.seconds.training / self.allocated if self.allocated else 0.0


class UnreconciledAttempt(Strict):
    run: str
    attempt: int
    entry: str
    job: str | None
    reason: str


class Reconciliation(Strict):
    """Slurm's accounts of a suite. problem: why they could not be read."""

    schema_version: Literal[2] = 2
    suite: str
    at: Instant = Field(description="UTC, ISO 8601")
    problem: str | None = None
    allocations: list[AllocationAccount] = Field(default_factory=list)
    entries: list[EntryAccount] = Field(default_factory=list)
    unreconciled: list[UnreconciledAttempt] = Field(default_factory=list)

    @property
    def violations(self) -> list[AllocationAccount]:
        return [allocation for allocation in self.allocations if allocation.violation]

    @property
    def reconciled(self) -> set[tuple[str, int]]:
        """Attempts that were found in an allocation, as (run, attempt)."""
        return {(attempt.run, attempt.attempt) for allocation in self.allocations for attempt in allocation.attempts}
