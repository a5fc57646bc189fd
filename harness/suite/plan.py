"""The plan of a suite: its planned runs, the trials of its search, and the finals once the selection is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from harness.api.dataset import Dataset
from harness.api.errors import UsageError
from harness.api.params import MethodParams
from harness.records.budget import Budget
from harness.records.calibration import Calibration, engine_cost
from harness.records.schema import DatasetRef, Engine, Infeasible, PlannedRun, Run, Trial
from harness.records.suite_folder import Candidate, Selection, SelectionEntry, candidates_digest
from harness.suite.budget import SuiteBudget
from harness.suite.costs import UNCOUNTED_STEPS, Configuration, cost_key, is_unit, searched_keys, task_of, unit_method
from harness.suite.entries import Entry, entries_of
from harness.suite.load import LoadedSuite, Search, Suite
from harness.suite.registry import load_dataset
from harness.suite.trials import PlannedTrial, make_trials, priced_in
from harness.suite.yaml_text import Location

if TYPE_CHECKING:
    from harness.api.method import Method

QUARTER = 4
"""Trials to the length of the shortest final run at most: what is best in much shorter ones says little about it."""


@dataclass(frozen=True)
class FinalRun:
    """A planned run and its run; trial: whose hyper-parameters it has, None where the suite gives them."""

    planned_run: PlannedRun
    run: Run
    trial: Trial | None = None


@dataclass(frozen=True)
class PlannedTraining:
    """A run as the plan lists it. run: None while a search has yet to name it."""

    role: Literal["search", "final"]
    entry: str
    name: str
    labelled: int | None
    subset: int
    seed: int
    budget: Budget
    run: Run | None


@dataclass(frozen=True)
class Choice:
    """Hyper-parameters and engine settings for final runs, and the trial that they come from."""

    params: MethodParams
    engine: Engine
    trial: Trial | None = None


@dataclass(frozen=True)
class Plan:
    """What a suite asks for, in the order in which it runs.

    trials: those of the search that can be named; none without a search.
    finals: one per planned run; none before the selection.
    infeasible: proposals of the search that were replaced.
    calibration: what a budget of reference steps is resolved by; until there is one, such runs have no ids.
    rung:   limits `runs` and `trainings` to one rung of the suite's ladder; None: all of them. A selection names all.
    """

    loaded: LoadedSuite
    data: DatasetRef
    entries: Mapping[str, Entry]
    planned_runs: tuple[PlannedRun, ...]
    trials: tuple[PlannedTrial, ...]
    finals: tuple[FinalRun, ...]
    infeasible: tuple[Infeasible, ...] = ()
    calibration: Calibration | None = None
    rung: int | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """Each run once, trials first."""
        runs = [*(trial.run for trial in self.trials), *(final.run for final in self.asked_finals)]
        return tuple({run.id: run for run in runs}.values())

    @property
    def asked_finals(self) -> tuple[FinalRun, ...]:
        """The finals, of one rung where the plan is limited to it."""
        return tuple(planned for planned in self.finals if self._asks_for(planned.planned_run))

    @property
    def asked_budget(self) -> SuiteBudget | Budget:
        """What each of `asked_finals` may spend: the rung's, or all of the ladder's."""
        return self.budget if self.rung is None else self.budget.at(self.rung)

    @property
    def uncalibrated(self) -> bool:
        """Whether the steps of its runs are not known yet, so that these have no ids."""
        return self.budget.currency == "reference_steps" and self.calibration is None

    @property
    def reference_seconds(self) -> float | None:
        """Of a reference step, by the calibration; None without one."""
        return None if self.calibration is None else self.calibration.header.reference_seconds

    def _asks_for(self, planned_run: PlannedRun) -> bool:
        return self.rung in (None, planned_run.rung)

    def at_rung(self, rung: int | None) -> Plan:
        """The same plan, limited to one rung. Raises `UsageError` for one that the suite's ladder lacks."""
        ladder = self.budget.ladder or ()
        if rung is not None and rung not in ladder:
            rungs = f"its rungs are {', '.join(map(str, ladder))}" if ladder else "it has no ladder"
            raise self.loaded.error(("budget",), f"there is no rung {rung}; {rungs}")
        return replace(self, rung=rung)

    def trainings(self) -> list[PlannedTraining]:
        """All runs in their order, trials first.

        With those that a search has yet to name: as many trials as an adaptive search's budget allows.
        """
        search, trainings = self.loaded.suite.search, []
        most = (search.trials or 1) if search is not None and search.mode == "adaptive" and not self.finals else 0
        counts = Counter((planned.trial.entry, planned.trial.study) for planned in self.trials)
        unnamed = [
            (planned.trial.model_copy(update={"point": number}), planned.run, None)
            for planned in self.trials
            if planned.trial.point == 0
            for number in range(counts[planned.trial.entry, planned.trial.study], most)
        ]
        for trial, like, run in [*((planned.trial, planned.run, planned.run) for planned in self.trials), *unnamed]:
            where = (str(trial), like.labelled, like.subset, like.seed)
            trainings.append(PlannedTraining("search", trial.entry, *where, like.budget, run))
        runs = {final.planned_run: final.run for final in self.finals}
        for name in filter(self._asks_for, self.planned_runs):
            where = (str(name), name.labelled, name.subset, name.seed)
            trainings.append(PlannedTraining("final", name.entry, *where, self.budget.at(name.rung), runs.get(name)))
        return trainings

    @property
    def names(self) -> dict[str, str]:
        """Run id -> the name of the first planned run or trial that it is of."""
        return {run: name for name, run in reversed(self.run_ids.items())}

    @property
    def run_ids(self) -> dict[str, str]:
        """Name of a trial or planned run -> id of its run."""
        trials = {str(planned.trial): planned.run.id for planned in self.trials}
        return trials | {str(planned.planned_run): planned.run.id for planned in self.finals}

    @property
    def budget(self) -> SuiteBudget:
        return self.loaded.suite.budget

    def chosen_for(self, planned_run: PlannedRun) -> tuple[str, int]:
        """Entry and study whose choice a planned run takes."""
        suite = self.loaded.suite
        studies = 1 if suite.search is None else suite.search.studies
        return planned_run.entry, suite.seeds.index(planned_run.seed) % studies

    def on_data(self, data: DatasetRef, calibration: Calibration | None = None) -> Plan:
        """The same plan for another version of its data, or with a calibration. Nothing but the ids of runs changes.

        A selection holds for the data that it was made on: the finals of a search are unknown again.
        """
        trials, infeasible = make_trials(self.loaded, self.entries, data, calibration)
        named = replace(self, trials=trials, infeasible=infeasible)
        plan = replace(named, data=data, finals=(), calibration=calibration)
        return plan if self.loaded.suite.search is not None else plan.with_choices({})

    def with_choices(self, choices: Mapping[tuple[str, int], Choice]) -> Plan:
        """The plan with its finals: each as chosen for its entry and study, else as the suite says."""
        finals = (
            self._final(planned_run, choices.get(self.chosen_for(planned_run))) for planned_run in self.planned_runs
        )
        return replace(self, finals=tuple(finals))

    def choice_of(self, planned: PlannedTrial) -> Choice:
        """A trial's configuration for final runs, with the suite's number of validations."""
        entry, run = self.entries[planned.trial.entry], planned.run
        engine = run.engine.model_copy(update={"validations": entry.engine.validations})
        return Choice(entry.method.Params.model_validate(run.params), engine, planned.trial)

    def with_selection(self, selection: Selection) -> Plan:
        """The plan with the finals that a recorded selection names.

        It stays as it is where the selection is of another suite, other data or another version of a method.
        """
        if self.loaded.suite.search is None or selection.suite_hash != self.loaded.suite.hash:
            return self
        try:
            choices = {self.chosen_for(chosen.planned_run): self._choice_in(chosen) for chosen in selection.entries}
        except ValidationError:
            return self
        planned = self.with_choices(choices)
        return planned if planned.selection_entries() == selection.entries else self

    def selection(self, candidates: list[Candidate] | None = None) -> Selection:
        """The selection that the finals are made of. candidates: every trial of the search; None without one."""
        suite = self.loaded.suite
        return Selection(
            rule="default" if candidates is None else "best_validation",
            suite_hash=suite.hash,
            engine=suite.engine,
            entries=self.selection_entries(),
            candidates=candidates,
            digest=candidates_digest(candidates),
        )

    def selection_entries(self) -> list[SelectionEntry]:
        return [
            SelectionEntry(
                planned_run=planned.planned_run,
                params=planned.run.params,
                run=planned.run.id,
                engine=None if planned.trial is None else planned.run.engine,
                trial=planned.trial,
                ranked=self.entries[planned.planned_run.entry].method.ranked,
                baseline=self.entries[planned.planned_run.entry].method.unit,
            )
            for planned in self.finals
        ]

    def sample_run(self, method: type[Method], params: Mapping[str, Any], engine: Engine) -> Run:
        """A run of these settings whose steps nobody counts, to be measured."""
        suite = self.loaded.suite
        return Run(
            method=method.name,
            method_version=method.version,
            params=dict(params),
            dataset=self.data,
            preprocessing=suite.preprocessing,
            labelled=None if method.labels == "all" else suite.labelled[0],
            subset=0,
            seed=0,
            engine=engine,
            budget=Budget(steps=UNCOUNTED_STEPS),
        )

    @property
    def unit_run(self) -> Run:
        """Plain supervised training at the suite's settings, whose step is the unit of reference steps."""
        method = unit_method()
        return self.sample_run(method, method.Params().model_dump(mode="json"), self.loaded.suite.engine)

    def _choice_in(self, chosen: SelectionEntry) -> Choice:
        entry = self.entries[chosen.planned_run.entry]
        return Choice(entry.method.Params.model_validate(chosen.params), chosen.engine or entry.engine, chosen.trial)

    def _final(self, planned_run: PlannedRun, choice: Choice | None) -> FinalRun:
        entry = self.entries[planned_run.entry]
        choice = choice or Choice(entry.params, entry.engine)
        run = Run(
            method=entry.method.name,
            method_version=entry.method.version,
            params=choice.params.model_dump(mode="json"),
            dataset=self.data,
            preprocessing=self.loaded.suite.preprocessing,
            labelled=planned_run.labelled,
            subset=planned_run.subset,
            seed=planned_run.seed,
            validation_patients=self.loaded.suite.validation_patients,
            engine=choice.engine,
            budget=self.budget.at(planned_run.rung),
        )
        return FinalRun(planned_run, priced_in(self.loaded, run, self.calibration), choice.trial)


def configurations(plan: Plan) -> list[Configuration]:
    """All that a calibration of a plan must hold: each entry's own configuration, and those that a search may try.

    Raises `UsageError` where a search varies what changes the cost of a step without listing its values.
    """
    suite, wanted = plan.loaded.suite, []
    task = task_of(dataset_of(plan.loaded), suite.preprocessing.size)
    for name, entry in plan.entries.items():
        own = cost_key(entry.method, entry.params, entry.engine, suite.engine, task)
        try:
            keys = searched_keys(own, entry.space)
        except ValueError as error:
            raise plan.loaded.error(("methods", name, "search"), str(error)) from None
        for key in keys:
            run = plan.sample_run(entry.method, entry.params.with_values(key.params), entry.engine)
            wanted.append(Configuration(key, run, is_unit(key, entry.method)))
    return wanted


def make_plan(loaded: LoadedSuite, data: DatasetRef) -> Plan:
    """Enumerate a suite on a given version of its data. Raises `UsageError` with the line of what is wrong."""
    dataset = dataset_of(loaded)
    for location, problem in _problems(loaded, dataset):
        raise loaded.error(location, problem)
    entries = entries_of(loaded)
    trials, _ = make_trials(loaded, entries, data)
    plan = Plan(loaded, data, entries, tuple(_planned_runs(loaded, entries)), trials, ())
    return plan if loaded.suite.search is not None else plan.with_choices({})


def unprepared(dataset: Dataset) -> DatasetRef:
    """A reference to data that are not prepared yet, for a plan without them."""
    return DatasetRef(name=dataset.name, version=dataset.version, checksum="unprepared")


def dataset_of(loaded: LoadedSuite) -> Dataset:
    """The suite's dataset. Raises `UsageError` at the line of an unknown name."""
    try:
        return load_dataset(loaded.suite.dataset)
    except UsageError as error:
        raise loaded.error(("dataset",), str(error)) from None


def _planned_runs(loaded: LoadedSuite, entries: Mapping[str, Entry]) -> Iterator[PlannedRun]:
    """Rung by rung, and seeds outermost, so that a table is balanced at any time.

    A fully supervised reference has one run per seed.
    """
    suite = loaded.suite
    for rung, seed in product(suite.budget.rungs, suite.seeds):
        for name in (name for name, entry in entries.items() if entry.takes_all_labels):
            yield PlannedRun(entry=name, labelled=None, subset=0, seed=seed, rung=rung)
        for subset, labelled in product(suite.subsets, suite.labelled):
            for name in (name for name, entry in entries.items() if not entry.takes_all_labels):
                yield PlannedRun(entry=name, labelled=labelled, subset=subset, seed=seed, rung=rung)


def _problems(loaded: LoadedSuite, dataset: Dataset) -> Iterator[tuple[Location, str]]:
    suite = loaded.suite
    if len(suite.preprocessing.size) != dataset.dimension:
        size = f"{dataset.name} is {dataset.dimension}D, so size has {dataset.dimension} numbers"
        yield ("preprocessing", "size"), size
    yield from _window_problems(suite, dataset)
    yield from _label_problems(suite, dataset)
    if suite.search is not None:
        yield from _search_problems(suite, suite.search, dataset)


def _label_problems(suite: Suite, dataset: Dataset) -> Iterator[tuple[Location, str]]:
    """Training needs unlabelled patients, and no validation has more patients than the dataset."""
    most, validated = len(dataset.splits["train"]) - len(dataset.unlabelled), len(dataset.splits["val"])
    counts: list[tuple[Location, int]] = [(("labelled", index), count) for index, count in enumerate(suite.labelled)]
    counts += [] if suite.search is None else [(("search", "labelled"), suite.search.labelled)]
    for location, labelled in counts:
        if labelled > most and dataset.unlabelled:
            yield location, f"{labelled} labelled patients: {dataset.name} has labels of {most} training patients"
        elif labelled >= most and not dataset.unlabelled:
            none_left = f"{labelled} labelled patients leave no unlabelled ones"
            yield location, f"{none_left}: {dataset.name} trains on {most} patients"
    if suite.validation_patients is not None and suite.validation_patients > validated:
        few = f"{dataset.name} has {validated} validation patients; give fewer, or leave it out for all"
        yield ("validation_patients",), few


def _window_problems(suite: Suite, dataset: Dataset) -> Iterator[tuple[Location, str]]:
    """Strides are for volumes, and must leave no gap between two windows."""
    engine, size = suite.engine, suite.preprocessing.size
    for name, stride in (("window_stride", engine.window_stride), ("validation_stride", engine.validation_stride)):
        if stride is not None and dataset.dimension == 2:
            whole = "slices are predicted whole, without windows; leave it out"
            yield ("engine", name), f"{dataset.name} is 2D: {whole}"
        elif stride is not None and any(step > side for step, side in zip(stride, size, strict=True)):
            gaps = f"steps of {list(stride)} leave gaps between windows of {list(size)}"
            yield ("engine", name), f"{gaps}; take shorter ones"


def _search_problems(suite: Suite, search: Search, dataset: Dataset) -> Iterator[tuple[Location, str]]:
    """A search must not choose a configuration on the data by which it is judged."""
    if not dataset.splits["val"]:
        yield ("search",), f"{dataset.name} has no validation patients, on which a search could choose"
    if search.subset in suite.subsets:
        yield ("search", "subset"), f"the finals use subset {search.subset} too; take another one"
    if seeds := set(range(search.seed, search.seed + search.studies)) & set(suite.seeds):
        yield ("search", "seed"), f"the finals use seed {min(seeds)} too; begin elsewhere"
    if search.budget.currency != suite.budget.currency:
        yield ("search", "budget"), f"the finals are budgeted in {suite.budget.currency}; so must trials be"
    elif suite.budget.currency == "reference_steps":
        shortest = suite.budget.at(suite.budget.rungs[0])
        if QUARTER * search.budget.amount < shortest.amount:
            least = f"give at least {math.ceil(shortest.amount / QUARTER)}"
            yield ("search", "budget"), f"{search.budget} is under a quarter of the finals' {shortest}; {least}"
        for name in (name for name in search.engine if name in engine_cost(suite.engine)):
            yield ("search", "engine", name), "changes the cost of a step, which nothing would measure; leave it out"
