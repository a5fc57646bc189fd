"""What a search tries next. Knows records and budgets, not Ray."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from harness.records.ledger import summarise, summarise_at_rest
from harness.records.schema import Budget, Spent
from harness.records.suite_folder import SuiteFolder
from harness.suite.trials import PlannedTrial

WAIT = "wait"
DONE = "done"


@dataclass(frozen=True)
class Proposal:
    """A trial to run, or to run on.

    allowance: what its run may spend in all, lost spending included, in the budget's currency; infinite where its own
               budget is what ends it.
    """

    planned: PlannedTrial
    allowance: float = math.inf


class Listed:
    """Trials that the plan drew, each with its whole budget."""

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._left = deque(trials)

    def next(self, name: str) -> Proposal | str:
        """The next of the list, which the driver calls `name`, or DONE."""
        return Proposal(self._left.popleft()) if self._left else DONE

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """Nothing follows from it."""


class Sampler(Protocol):
    """Proposes points from what is known."""

    def ask(self, name: str) -> dict[str, object] | None:
        """A point; None for the suite's own configuration."""

    def tell(self, name: str, dice: float | None, failed: bool) -> None:
        """How it went."""


class Author(Protocol):
    """Makes trials of points, and puts them on record."""

    def plan(self, number: int, point: dict[str, object] | None) -> PlannedTrial:
        """A point and its run, nothing written; None: the suite's own configuration."""

    def record(self, planned: PlannedTrial) -> None:
        """Name a new trial in the records, before it runs."""


@dataclass(frozen=True)
class Spending:
    """Useful and lost spending, in the budget's currency."""

    useful: float
    lost: float

    @classmethod
    def of(cls, spent: Spent, budget: Budget) -> Spending:
        """What the ledger says, in the currency of a budget."""
        if budget.steps is not None:
            return cls(float(spent.useful_steps), float(spent.lost_steps))
        return cls(spent.useful_device_seconds, spent.lost_device_seconds)


class Adaptive:
    """Trials of one row and study until spent + reserved reaches the budget.

    Trials on record come first, in their order: those that ended are told to the sampler and the scheduler again, those
    that did not go on. The last ones may spend only what is left, so that every row ends within a step of its budget.

    A proposal whose run is on record already is no new trial: the sampler is told the score that is known, and asked
    again. `BARREN` proposals in a row without anything new end the study, whatever is left of its budget.
    """

    def __init__(
        self, store: SuiteFolder, budget: float, recorded: Iterable[PlannedTrial], sampler: Sampler, author: Author
    ) -> None:
        self._store = store
        self._budget = budget
        self._waiting = deque(recorded)
        self._known = {planned.run.id: planned for planned in self._waiting}
        self._sampler = sampler
        self._author = author
        self._running: dict[str, tuple[str, str]] = {}  # the driver's name -> the run, and what the sampler calls it
        # by run: what a running trial may come to, and what it had lost when it was started
        self._reserves: dict[str, Spending] = {}
        self._asked = 0
        self._barren = 0

    def next(self, name: str) -> Proposal | str:
        """The next trial, which the driver calls `name`; WAIT while running ones must end first, or DONE.

        A recorded trial, or a new one while the budget lasts.
        """
        if self._waiting:
            asked, _ = self._ask()  # the sampler holds the same points, in the same order
            return self._start(name, asked, self._waiting.popleft())
        while self._barren < BARREN and self._left() > TOLERANCE * self._budget:
            asked, point = self._ask()
            planned = self._author.plan(len(self._known), point)
            if planned.run.id not in self._known:
                self._author.record(planned)
                self._known[planned.run.id] = planned
                return self._start(name, asked, planned)
            self._barren += 1
            self._tell_again(asked, planned)
        return WAIT if self._busy() else DONE

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """A trial ended, and its reserve is free. dice: of its last validation."""
        run, asked = self._running.pop(name)
        spent = self._spent(run)
        self._barren = 0 if spent.useful + spent.lost > 0 else self._barren + 1
        self._sampler.tell(asked, dice, failed)

    def _ask(self) -> tuple[str, dict[str, object] | None]:
        asked = str(self._asked)
        self._asked += 1
        return asked, self._sampler.ask(asked)

    def _tell_again(self, asked: str, planned: PlannedTrial) -> None:
        """The score that is known of a point, so that the sampler moves on."""
        validations = self._store.by_id(planned.run.id).validations()
        self._sampler.tell(asked, validations[-1].mean_dice if validations else None, not validations)

    def _start(self, name: str, asked: str, planned: PlannedTrial) -> Proposal:
        run, amount = planned.run.id, planned.run.budget.amount
        spent = self._spent(run)
        reach = spent.useful + max(0.0, self._left())
        self._running[name] = run, asked
        self._reserves[run] = Spending(min(amount, reach), spent.lost)
        return Proposal(planned, math.inf if reach >= amount else reach + spent.lost)

    def _left(self) -> float:
        """What neither was spent nor is reserved for running trials."""
        taken = 0.0
        for run in self._known:
            spent = reserve = self._spent(run)
            if self._runs(run):
                reserve = self._reserves.get(run, spent)
            taken += max(spent.useful, reserve.useful) + max(spent.lost, reserve.lost)
        return self._budget - taken

    def _spent(self, run: str) -> Spending:
        """What a trial spent. Where nobody runs it, what is in no checkpoint is lost: it would be done again."""
        folder = self._store.by_id(run)
        lines = folder.ledger.lines()
        rests = not folder.done and not folder.lease.held()
        return Spending.of(summarise_at_rest(lines) if rests else summarise(lines), self._known[run].run.budget)

    def _busy(self) -> bool:
        return bool(self._running) or any(self._runs(run) for run in self._known)

    def _runs(self, run: str) -> bool:
        """Whether it can still spend: a retired one writes its last records for a moment."""
        folder = self._store.by_id(run)
        mine = any(run == running for running, _ in self._running.values())
        return not folder.done and (mine or folder.lease.held())


BARREN = 20
"""So many proposals in a row that are on record already, or whose trials ended without spending anything: the space is
exhausted, or nothing in it runs."""

TOLERANCE = 0.005
"""Share of a row's budget that may stay unspent: less would not pay for the start of another trial."""

Proposals = Listed | Adaptive
