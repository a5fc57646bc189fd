"""The adaptive search: TPE and ASHA for one entry and study after the other, each on the same budget."""

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
    """One entry's independent study, as a suite asks for it."""

    session: Session
    search: Search
    entry: Entry
    number: int

    @property
    def budget(self) -> float:
        """What all its trials may spend together, in the budget's currency."""
        return (self.search.trials or 1) * self.search.budget.amount

    def recorded(self) -> list[PlannedTrial]:
        """Its trials so far, in the order in which they were proposed."""
        own = (self.entry.name, self.number)
        return [
            planned for planned in recorded_trials(self.session) if (planned.trial.entry, planned.trial.study) == own
        ]

    def proposals(self) -> Adaptive:
        """What to run next, given the records. The sampler is seeded anew by how many trials there are."""
        recorded = self.recorded()
        seed = (self.search.seed + self.number) * 1000 + len(recorded)
        sampler = TPESampler(self.entry.space, [planned.trial for planned in recorded], seed)
        return Adaptive(self.session.store, self.budget, recorded, sampler, self)

    def plan(self, number: int, point: dict[str, object] | None) -> PlannedTrial:
        """A point and its run, nothing written; None: the suite's own configuration."""
        session = self.session
        return make_trial(session.plan.loaded, self.entry, self.number, number, point or {}, session.plan.data)

    def record(self, planned: PlannedTrial) -> None:
        """Name a new trial in the records, before it runs."""
        session = self.session
        session.folder(planned.run).create(planned.run)
        trials = [recorded.trial for recorded in recorded_trials(session)]
        session.store.write_trials(Trials(suite_hash=session.plan.loaded.suite.hash, trials=[*trials, planned.trial]))


def studies(session: Session, search: Search) -> Iterator[Study]:
    """Every entry's studies, study by study, so that entries advance together."""
    for number in range(search.studies):
        for entry in session.plan.entries.values():
            yield Study(session, search, entry, number)


def recorded_trials(session: Session) -> list[PlannedTrial]:
    """All trials of trials.json with their runs."""
    points = session.store.trials()
    trials = [] if points is None else points.trials
    return [PlannedTrial(trial, session.store.by_id(trial.run).run) for trial in trials]
