"""A suite bound to its data and its run directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.api.errors import UsageError
from harness.data.cache import Cache
from harness.data.prepare import resolve
from harness.records.run_folder import RunFolder
from harness.records.schema import Run
from harness.records.selection import Selection, Trials
from harness.records.suite_folder import SuiteFolder
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, dataset_of, make_plan, unprepared


@dataclass(frozen=True)
class Session:
    """Everything that an executor needs."""

    plan: Plan
    cache: Cache
    store: SuiteFolder

    def folder(self, run: Run) -> RunFolder:
        """The run's records."""
        return self.store.folder(run)

    @cached_property
    def _names(self) -> dict[str, str]:
        return self.plan.names

    def name_of(self, run: Run) -> str:
        """The run's planned run or trial as `harness train` takes it, with its row's name: ua_mt_strong/7/0/1."""
        if run.id not in self._names:
            points = self.store.trials()  # an adaptive search names trials as it goes
            self._names.update({} if points is None else {trial.run: str(trial) for trial in points.trials})
        return self._names.get(run.id, run.label)

    def pending(self) -> list[Run]:
        """Runs without a result, in the plan's order."""
        return [run for run in self.plan.runs if not self.folder(run).done]

    @property
    def named(self) -> list[str]:
        """Ids of all runs that are asked for so far, those that a search proposed among them."""
        points = self.store.trials()
        proposed = [] if self.plan.loaded.suite.search is None or points is None else points.trials
        return list(dict.fromkeys([*(trial.run for trial in proposed), *(run.id for run in self.plan.runs)]))

    @property
    def summary(self) -> str:
        """How many runs there are, done and to run: the finals, or the trials where there are no finals yet."""
        named = self.plan.finals or self.plan.trials
        runs = {planned.run.id: planned.run for planned in named}
        done = sum(self.folder(run).done for run in runs.values())
        return f"{len(runs)} {'runs' if self.plan.finals else 'trials'}, {done} done, {len(runs) - done} to run"

    def selected(self, plan: Plan, selection: Selection) -> Session:
        """This session, once its search has led to a selection, which is recorded before its finals may start."""
        self.store.write_selection(selection)
        for run in plan.runs:
            self.store.folder(run).create(run)
        return replace(self, plan=plan)

    def find(self, name: str) -> Run:
        """A run of the plan, or a trial that a search proposed, or a recorded run by the beginning of its id."""
        points = self.store.trials()
        proposed = {str(trial): trial.run for trial in points.trials} if points is not None else {}
        if name in proposed and name not in {str(planned.trial) for planned in self.plan.trials}:
            return self.store.by_id(proposed[name]).run
        recorded = [folder for folder in self.store.folders() if folder.id.startswith(name)]
        known = {run.id for run in self.plan.runs}
        if len(recorded) == 1 and recorded[0].id not in known:
            return recorded[0].run
        return find_run(self.plan, name)

    def reopen_failed(self) -> None:
        """Forget failure records, so that those runs run again. What a selection was made from stays as it is."""
        finals = [planned.run.id for planned in self.plan.finals]
        for name in finals or self.named:
            folder = self.store.by_id(name)
            result = folder.result()
            if result is not None and result.status == "failed":
                folder.reopen()


def open_session(loaded: LoadedSuite, data: Path | None, runs: Path, *, select: bool = True) -> Session:
    """Plan the suite, find or prepare its data, and record what was asked before anything runs.

    select: write the selection. False keeps the one that is there, so that a child of an earlier driver cannot turn
    back what a later driver selected.
    """
    SuiteFolder.refuse_foreign(runs / loaded.suite.name)  # before minutes of preparing data
    plan, cache = plan_on_data(loaded, data)
    store = SuiteFolder.create(runs / loaded.suite.name)
    store.keep_suite(loaded.text, loaded.suite.hash)
    if loaded.suite.search is not None:
        plan = _with_search(plan, store, select)
    elif select or not store.selection_path.exists():
        store.write_selection(plan.selection())
        if store.trials() is not None:  # of an earlier version of the suite
            store.write_trials(Trials(suite_hash=loaded.suite.hash, trials=[]))
    for run in plan.runs:
        store.folder(run).create(run)
    return Session(plan, cache, store)


def _with_search(plan: Plan, store: SuiteFolder, select: bool) -> Plan:
    """Name the points, and take up the selection where the search has led to one already."""
    if select:
        store.write_trials(_points(plan, store.trials()))
    return plan.with_selection(store.selection()) if store.selection_path.exists() else plan


def _points(plan: Plan, recorded: Trials | None) -> Trials:
    """The trials of the plan. What an adaptive search named earlier stays, study by study, with its point 0."""
    suite, trials = plan.loaded.suite, [planned.trial for planned in plan.trials]
    adaptive = suite.search is not None and suite.search.mode == "adaptive"
    earlier = recorded.trials if adaptive and recorded is not None and recorded.suite_hash == suite.hash else []
    begun = {(trial.entry, trial.study) for trial in trials if trial in earlier}
    kept = [trial for trial in earlier if (trial.entry, trial.study) in begun]
    return Trials(suite_hash=suite.hash, trials=[*kept, *(trial for trial in trials if trial not in kept)])


def plan_on_data(loaded: LoadedSuite, data: Path | None) -> tuple[Plan, Cache]:
    """The plan for the data as it is. The suite is checked in full before any data is touched."""
    dataset = dataset_of(loaded)
    plan = make_plan(loaded, unprepared(dataset))
    cache = resolve(dataset, data)
    return plan.on_data(cache.reference), cache


def find_run(plan: Plan, name: str) -> Run:
    """A run by id, by the beginning of its id, or by planned run: method/labelled/subset/seed, e.g. ua_mt/7/0/1."""
    by_planned_run = {str(planned.planned_run): planned.run for planned in plan.finals}
    by_planned_run |= {str(planned.trial): planned.run for planned in plan.trials}
    if name in by_planned_run:
        return by_planned_run[name]
    matches = [run for run in plan.runs if run.id.startswith(name)]
    if len(matches) != 1:
        some = ", ".join(list(by_planned_run)[:4])
        raise UsageError(f"{name!r} names {len(matches)} runs of this suite; use an id or a planned run such as {some}")
    return matches[0]
