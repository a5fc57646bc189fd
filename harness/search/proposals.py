"""Which trial a search runs next: one of the plan, or what TPE and ASHA make of a study. Needs no Ray."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from harness.execution.session import Session
from harness.records.ledger import summarise, summarise_at_rest
from harness.records.schema import Infeasible
from harness.records.suite_folder import SuiteFolder, Trials
from harness.search.optuna import TPESampler
from harness.suite.entries import Entry
from harness.suite.load import Search
from harness.suite.trials import PlannedTrial, drawn_points, make_trial

WAIT = "wait"
DONE = "done"
MOST_BARREN = 20
"""Proposals in a row that are on record already, or whose trials ended without spending anything. The space is then
exhausted, or none of its points runs."""

TOLERANCE = 0.005
"""Share of an entry's budget that may stay unspent: less would not pay for the start of another trial."""


@dataclass(frozen=True)
class Proposal:
    """A trial to start or to continue.

    allowance: what its run may spend in all, lost spending included, in the budget's currency; infinite where its own
               budget ends it.
    """

    planned: PlannedTrial
    allowance: float = math.inf


class Listed:
    """Trials of the plan, each with its whole budget."""

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._left = deque(trials)

    def next(self, name: str) -> Proposal | str:
        """The next trial of the list, or DONE."""
        return Proposal(self._left.popleft()) if self._left else DONE

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """Do nothing: the list is fixed."""


class Adaptive:
    """Trials of one entry and study, until spent and reserved amounts reach the budget.

    Recorded trials come first, in their order. The sampler gets the scores of those that ended; the others go on. The
    last trials may spend only what is left, so that every entry ends within a step of its budget.

    Of a proposal whose run is on record already the sampler gets the known score; one that is infeasible is put down,
    and the sampler learns that. `MOST_BARREN` proposals in a row without a new trial end the study.
    """

    def __init__(
        self, store: SuiteFolder, budget: float, recorded: Iterable[PlannedTrial], sampler: TPESampler, study: Study
    ) -> None:
        self._store = store
        self._budget = budget
        self._waiting = deque(recorded)
        self._known = {planned.run.id: planned for planned in self._waiting}
        self._sampler = sampler
        self._study = study
        # the driver's name of a trial -> its run, and the sampler's key of it
        self._running: dict[str, tuple[str, str]] = {}
        # by run: what a running trial may come to, and what it had lost when it started
        self._reserves: dict[str, tuple[float, float]] = {}
        self._proposed = 0
        self._barren = 0

    @property
    def over(self) -> bool:
        """Whether every trial has ended and nothing is left to spend: Tune need not walk through its trials again."""
        ended = all(self._store.by_id(run).done for run in self._known)
        return ended and self._left() <= TOLERANCE * self._budget

    def next(self, name: str) -> Proposal | str:
        """The next trial, recorded or new, which the driver calls `name`; WAIT until a running one ends, or DONE."""
        if self._waiting:
            key, _ = self._ask()  # the sampler holds the same points, in the same order
            return self._start(name, key, self._waiting.popleft())
        while self._barren < MOST_BARREN and self._left() > TOLERANCE * self._budget:
            key, point = self._ask()
            planned = self._study.plan(len(self._known), point)
            if isinstance(planned, Infeasible):
                self._study.record(planned)
                self._sampler.refuse(key)
                self._barren += 1
                continue
            if planned.run.id not in self._known:
                self._study.record(planned)
                self._known[planned.run.id] = planned
                return self._start(name, key, planned)
            self._barren += 1
            # its score is known: the sampler moves on
            validations = self._store.by_id(planned.run.id).validations()
            self._tell(key, planned.run.id, validations[-1].mean_dice if validations else None, not validations)
        return WAIT if self._running or any(map(self._runs, self._known)) else DONE

    def ended(self, name: str, dice: float | None, failed: bool) -> None:
        """Free the reserve of a trial that ended. dice: of its last validation."""
        run, key = self._running.pop(name)
        self._barren = 0 if sum(self._spent(run)) > 0 else self._barren + 1
        self._tell(key, run, dice, failed)

    def _tell(self, key: str, run: str, dice: float | None, failed: bool) -> None:
        """Tell the sampler a score: 0 of a trial that diverged, which would else be proposed again.

        Other failures say nothing about the point. Of a trial that has ended the record counts: ASHA may end what a
        driver shows it of an earlier one before its last validation.
        """
        folder = self._store.by_id(run)
        result = folder.result()
        failure = None if result is None else result.failure
        if failure is not None:
            dice, failed = (0.0, False) if failure.kind == "nan" else (None, True)
        elif result is not None and (validations := folder.validations()):
            dice, failed = validations[-1].mean_dice, False
        self._sampler.tell(key, dice, failed)

    def _ask(self) -> tuple[str, dict[str, object] | None]:
        key = str(self._proposed)
        self._proposed += 1
        return key, self._sampler.ask(key)

    def _start(self, name: str, key: str, planned: PlannedTrial) -> Proposal:
        run, amount = planned.run.id, planned.run.budget.amount
        useful, lost = self._spent(run)
        reach = useful + max(0.0, self._left())
        self._running[name] = run, key
        self._reserves[run] = min(amount, reach), lost
        return Proposal(planned, math.inf if reach >= amount else reach + lost)

    def _left(self) -> float:
        taken = 0.0
        for run in self._known:
            spent = reserve = self._spent(run)
            if self._runs(run):
                reserve = self._reserves.get(run, spent)
            taken += sum(map(max, spent, reserve))
        return self._budget - taken

    def _spent(self, run: str) -> tuple[float, float]:
        """Useful and lost spending of a trial, in the budget's currency.

        Where no process runs it, steps after its checkpoint are lost: they would be repeated.
        """
        folder = self._store.by_id(run)
        at_rest = not folder.done and not folder.lease.held()
        spent = (summarise_at_rest if at_rest else summarise)(folder.ledger.lines())
        return spent.in_currency(self._known[run].run.budget)

    def _runs(self, run: str) -> bool:
        """Whether it can still spend. A trial that Tune ended writes its last records for a moment."""
        folder = self._store.by_id(run)
        mine = any(run == running for running, _ in self._running.values())
        return not folder.done and (mine or folder.lease.held())


@dataclass(frozen=True)
class Study:
    """One of the independent studies of an entry."""

    session: Session
    search: Search
    entry: Entry
    number: int

    def recorded(self) -> list[PlannedTrial]:
        """Its trials so far, in the order of their proposal."""
        every = recorded_trials(self.session)
        return [each for each in every if (each.trial.entry, each.trial.study) == (self.entry.name, self.number)]

    def infeasible(self) -> list[Infeasible]:
        every = self.session.recorded_infeasible()
        return [each for each in every if (each.entry, each.study) == (self.entry.name, self.number)]

    def proposals(self) -> Adaptive:
        """What to run next, given the records, whose number is part of the sampler's seed."""
        recorded, infeasible = self.recorded(), self.infeasible()
        seed = (self.search.seed + self.number) * 1000 + len(recorded) + len(infeasible)
        startup = drawn_points(self.search, self.entry, self.number, self.search.startup)[
            len(recorded) + len(infeasible) :
        ]
        sampler = TPESampler(self.entry.space, [planned.trial for planned in recorded], seed, infeasible, startup)
        budget = (self.search.trials or 1) * self.search.budget.amount
        return Adaptive(self.session.store, budget, recorded, sampler, self)

    def plan(self, number: int, point: dict[str, object] | None) -> PlannedTrial | Infeasible:
        """The trial of a point, not yet recorded, or why there is none.

        number: trials so far. point: None for the suite's own configuration.
        """
        plan = self.session.plan
        at = self.search, self.entry, self.number, number + len(self.infeasible()), point or {}
        return make_trial(plan.loaded, *at, plan.data, plan.calibration)

    def record(self, proposal: PlannedTrial | Infeasible) -> None:
        """Record a new trial before it starts, or a proposal that is infeasible."""
        session = self.session
        trials, infeasible = session.recorded_trials(), session.recorded_infeasible()
        if isinstance(proposal, Infeasible):
            infeasible = [*infeasible, proposal]
        else:
            session.folder(proposal.run).create(proposal.run)
            trials = [*trials, proposal.trial]
        suite_hash = session.plan.loaded.suite.hash
        session.store.write_trials(Trials(suite_hash=suite_hash, trials=trials, infeasible=infeasible))


def recorded_trials(session: Session) -> list[PlannedTrial]:
    return [PlannedTrial(trial, session.store.by_id(trial.run).run) for trial in session.recorded_trials()]


Proposals = Listed | Adaptive
