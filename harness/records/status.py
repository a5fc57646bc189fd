"""How far a suite is, from its records alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.records.run_folder import UnitFolder
from harness.records.schema import Budget, Result, Slot, Spent, Trial
from harness.records.selection import Points, Selection
from harness.records.suite_folder import RunStore

State = Literal["done", "failed", "running", "queued", "stopped", "to run"]
STATES: tuple[State, ...] = ("done", "failed", "running", "queued", "stopped", "to run")
"""queued: waits with Slurm; stopped: begun, held by nobody, goes on from its checkpoint."""


@dataclass(frozen=True)
class UnitStatus:
    """One unit.

    share:           of its budget that is spent, in [0, 1].
    validation_dice: of the last look of a finished unit, mean over classes.
    note:            who runs it, or why it failed.
    unit:            its id.
    """

    state: State
    spent: Spent
    share: float
    validation_dice: float | None = None
    note: str = ""
    unit: str = ""


@dataclass(frozen=True)
class SuiteStatus:
    """The trials of the current search and the units of the current selection, in their order.

    others: units on record that the current selection does not name (an earlier version of the suite, other data).
    """

    suite: str
    budget: Budget | None
    units: tuple[tuple[Slot | Trial, UnitStatus], ...]
    others: int

    @property
    def counts(self) -> dict[State, int]:
        """Units by state, every state named."""
        found = Counter(status.state for _, status in self.units)
        return {state: found[state] for state in STATES}

    @property
    def lost_device_seconds(self) -> float:
        """Device seconds that interruptions cost, over all units."""
        return sum(status.spent.lost_device_seconds for _, status in self.units)

    @property
    def summary(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        seconds = self.lost_device_seconds
        lost = f"; {seconds:.1f} device-seconds lost to interruptions" if seconds else ""
        others = f"; {self.others} more on record from other versions of the suite or its data" if self.others else ""
        return f"{self.suite}: {len(self.units)} units, {counts or 'none planned'}{lost}{others}"


def read_status(store: RunStore) -> SuiteStatus:
    """Where every unit of the current selection stands. Raises `RecordError` where a record cannot be read."""
    points = store.points()
    asked: list[tuple[str, Slot | Trial]] = [] if points is None else [(one.unit, one) for one in points.trials]
    if points is None or store.selection_path.exists():
        selection = store.selection()
        asked += [(entry.unit, entry.slot) for entry in selection.entries] if _belongs(selection, points) else []
    units = tuple((name, replace(unit_status(store.by_id(unit)), unit=unit)) for unit, name in asked)
    known = {unit for unit, _ in asked}
    others = sum(folder.id not in known for folder in store.folders())
    return SuiteStatus(store.root.name, budget_of([store.by_id(unit) for unit, _ in asked]), units, others)


def _belongs(selection: Selection, points: Points | None) -> bool:
    """Whether a selection was made from these trials, not from those of another version of suite, data or method."""
    if points is None:
        return True
    tried = {candidate.trial.unit for candidate in selection.candidates or []}
    return selection.suite_hash == points.suite_hash and tried == {trial.unit for trial in points.trials}


def budget_of(folders: Sequence[UnitFolder]) -> Budget | None:
    """What each unit of one selection may spend, None where nothing is on record."""
    recorded = next((folder for folder in folders if (folder.path / "unit.json").exists()), None)
    return recorded.unit.budget if recorded else None


def unit_status(folder: UnitFolder) -> UnitStatus:
    """Where one unit stands; a unit without a folder is still to run."""
    if not (folder.path / "unit.json").exists():
        return UnitStatus("to run", folder.ledger.spent(), 0.0)
    result = folder.result()
    spent = folder.ledger.spent() if result is None else result.spent
    share = share_of(folder.unit.budget, spent)
    if result is not None:
        return _ended(result, spent, share)
    if folder.lease.held():
        return UnitStatus("running", spent, share, note=_holder(folder))
    return UnitStatus("stopped" if spent.attempts else "to run", spent, share)


def share_of(budget: Budget, spent: Spent) -> float:
    """Useful spending over the budget, in the budget's currency."""
    used = spent.useful_steps if budget.steps is not None else spent.useful_device_seconds
    return min(1.0, used / budget.amount)


def _ended(result: Result, spent: Spent, share: float) -> UnitStatus:
    if result.failure is not None:
        return UnitStatus("failed", spent, share, note=f"{result.failure.kind}: {result.failure.reason}")
    dice = result.looks[-1].mean_dice if result.looks else None
    return UnitStatus("done", spent, share, dice, "ended early by the search" if result.status == "stopped" else "")


def _holder(folder: UnitFolder) -> str:
    holder = folder.lease.holder()
    try:
        silent_seconds = time.time() - folder.lease.path.stat().st_mtime
    except FileNotFoundError:
        return ""
    return f"pid {holder.pid} on {holder.host}, heartbeat {silent_seconds:.0f} s ago" if holder else ""
