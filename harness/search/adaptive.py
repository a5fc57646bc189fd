"""The adaptive search: TPE and ASHA for each entry and study in turn, all on the same budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.execution.session import Session
from harness.records.selection import Trials
from harness.search.optuna import TPESampler
from harness.search.proposals import Adaptive
from harness.suite.entries import Entry
from harness.suite.load import Search
from harness.suite.trials import PlannedTrial, make_trial


@dataclass(frozen=True)
class Study:
    """One of the independent studies of an entry."""

    session: Session
    search: Search
    entry: Entry
    number: int

    @property
    def budget(self) -> float:
        """What all its trials may spend together, in the budget's currency."""
        return (self.search.trials or 1) * self.search.budget.amount

    def recorded(self) -> list[PlannedTrial]:
        """Its trials so far, in the order of their proposal."""
        own = (self.entry.name, self.number)
        return [
            planned for planned in recorded_trials(self.session) if (planned.trial.entry, planned.trial.study) == own
        ]

    def proposals(self) -> Adaptive:
        """What to run next, given the records. The number of recorded trials is part of the sampler's seed."""
        recorded = self.recorded()
        seed = (self.search.seed + self.number) * 1000 + len(recorded)
        sampler = TPESampler(self.entry.space, [planned.trial for planned in recorded], seed)
        return Adaptive(self.session.store, self.budget, recorded, sampler, self)

    def plan(self, number: int, point: dict[str, object] | None) -> PlannedTrial:
        """The trial of a point, not yet recorded. None: the suite's own configuration."""
        session = self.session
        return make_trial(session.plan.loaded, self.entry, self.number, number, point or {}, session.plan.data)

    def record(self, planned: PlannedTrial) -> None:
        """Record a new trial before it starts."""
        session = self.session
        session.folder(planned.run).create(planned.run)
        trials = [*session.recorded_trials(), planned.trial]
        session.store.write_trials(Trials(suite_hash=session.plan.loaded.suite.hash, trials=trials))


def make_studies(session: Session, search: Search) -> Iterator[Study]:
    """The studies of all entries: every entry's first study, then every entry's second one, ..."""
    for number in range(search.studies):
        for entry in session.plan.entries.values():
            yield Study(session, search, entry, number)


def recorded_trials(session: Session) -> list[PlannedTrial]:
    """All trials of trials.json with their runs."""
    return [PlannedTrial(trial, session.store.by_id(trial.run).run) for trial in session.recorded_trials()]
