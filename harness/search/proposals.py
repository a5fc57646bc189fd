"""What a search tries next. Knows records and budgets, not Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from harness.plan import PlannedTrial
from harness.spec.records import Budget, Spent
from harness.store import RunStore

WAIT = "wait"
DONE = "done"


@dataclass(frozen=True)
class Proposal:
    """A trial to run, or to run on; allowance: what its unit may spend in all, in the budget's currency."""

    planned: PlannedTrial
    allowance: float


class Proposals(Protocol):
    """Gives the driver one trial after the other."""

    def next(self, name: str) -> Proposal | str:
        """The next trial, which the driver calls `name`; WAIT while running ones must end first, or DONE."""

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """A trial ended; dice: of its last look."""


class Listed:
    """Trials that the plan drew, each with its whole budget."""

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._left = deque(trials)

    def next(self, name: str) -> Proposal | str:
        """The next of the list."""
        if not self._left:
            return DONE
        planned = self._left.popleft()
        return Proposal(planned, planned.unit.budget.amount)

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """Nothing follows from it."""


class Sampler(Protocol):
    """Proposes points from what is known."""

    def ask(self, name: str) -> dict[str, object] | None:
        """A point; None for the suite's own configuration."""

    def tell(self, name: str, dice: float | None, failed: bool) -> None:
        """How it went."""


class Adaptive:
    """Trials of one row and study until spent + reserved reaches the budget.

    Trials on record come first, in their order: those that ended are told to the sampler and the scheduler again, those
    that did not go on. The last ones may spend only what is left, so that every row ends within a step of its budget.
    """

    def __init__(
        self,
        store: RunStore,
        budget: float,
        recorded: Iterable[PlannedTrial],
        sampler: Sampler,
        propose: Callable[[int, dict[str, object] | None], PlannedTrial],
    ) -> None:
        self._store = store
        self._budget = budget
        self._waiting = deque(recorded)
        self._known = {one.unit.id: one for one in self._waiting}
        self._count = len(self._waiting)
        self._sampler = sampler
        self._propose = propose
        self._running: dict[str, Proposal] = {}
        self._allowances: dict[str, float] = {}

    def next(self, name: str) -> Proposal | str:
        """A recorded trial, or a new one while the budget lasts."""
        if self._waiting:
            self._sampler.ask(name)  # the sampler holds the same points, in the same order
            return self._start(name, self._waiting.popleft())
        if self._left() <= TOLERANCE * self._budget:
            return WAIT if self._busy() else DONE
        planned = self._propose(self._count, self._sampler.ask(name))
        self._count += 1
        self._known[planned.unit.id] = planned
        return self._start(name, planned)

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """Its reserve is free again."""
        del self._running[name]
        self._sampler.tell(name, dice, failed)

    def _start(self, name: str, planned: PlannedTrial) -> Proposal:
        own = charged(self._store.by_id(planned.unit.id).ledger.spent(), planned.unit.budget)
        allowance = min(planned.unit.budget.amount, own.useful + max(0.0, self._left()))
        proposal = Proposal(planned, allowance)
        self._running[name] = proposal
        self._allowances[planned.unit.id] = allowance
        return proposal

    def _left(self) -> float:
        """What neither was spent nor is reserved for running trials."""
        taken = 0.0
        for unit, planned in self._known.items():
            own = charged(self._store.by_id(unit).ledger.spent(), planned.unit.budget)
            reserve = self._allowances.get(unit, 0.0) if self._runs(unit) else 0.0
            taken += max(reserve, own.useful) + own.lost
        return self._budget - taken

    def _busy(self) -> bool:
        return bool(self._running) or any(self._runs(unit) for unit in self._known)

    def _runs(self, unit: str) -> bool:
        """Whether it can still spend: a retired one writes its last records for a moment."""
        folder = self._store.by_id(unit)
        mine = any(one.planned.unit.id == unit for one in self._running.values())
        return not folder.done and (mine or folder.lease.held())


TOLERANCE = 0.005
"""Share of a row's budget that may stay unspent: less would not pay for the start of another trial."""


@dataclass(frozen=True)
class Charged:
    """What a unit spent, in the budget's currency."""

    useful: float
    lost: float


def charged(spent: Spent, budget: Budget) -> Charged:
    """Useful and lost spending in the currency of a budget."""
    if budget.steps is not None:
        return Charged(float(spent.useful_steps), float(spent.lost_steps))
    return Charged(spent.useful_device_seconds, spent.lost_device_seconds)
