"""A suite bound to its data and its run directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.api.errors import UsageError
from harness.data.cache import Cache
from harness.data.prepare import resolve
from harness.records.run_folder import UnitFolder
from harness.records.schema import Unit
from harness.records.selection import Points, Selection
from harness.records.suite_folder import RunStore
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, dataset_of, make_plan, unprepared


@dataclass(frozen=True)
class Session:
    """Everything that an executor needs."""

    plan: Plan
    cache: Cache
    store: RunStore

    def folder(self, unit: Unit) -> UnitFolder:
        """The unit's records."""
        return self.store.folder(unit)

    @cached_property
    def _names(self) -> dict[str, str]:
        return self.plan.names

    def name_of(self, unit: Unit) -> str:
        """The unit's slot or trial as `harness train` takes it, with its row's name: ua_mt_strong/7/0/1."""
        if unit.id not in self._names:
            points = self.store.points()  # an adaptive search names trials as it goes
            self._names.update({} if points is None else {trial.unit: str(trial) for trial in points.trials})
        return self._names.get(unit.id, unit.label)

    def pending(self) -> list[Unit]:
        """Units without a result, in the plan's order."""
        return [unit for unit in self.plan.units if not self.folder(unit).done]

    @property
    def named(self) -> list[str]:
        """Ids of all units that are asked for so far, those that a search proposed among them."""
        points = self.store.points()
        proposed = [] if self.plan.loaded.suite.search is None or points is None else points.trials
        return list(dict.fromkeys([*(trial.unit for trial in proposed), *(unit.id for unit in self.plan.units)]))

    @property
    def outlook(self) -> str:
        """How many units there are, done and to run: the finals, or the trials where there are no finals yet."""
        named = self.plan.finals or self.plan.trials
        units = {planned.unit.id: planned.unit for planned in named}
        done = sum(self.folder(unit).done for unit in units.values())
        return f"{len(units)} {'units' if self.plan.finals else 'trials'}, {done} done, {len(units) - done} to run"

    def selected(self, plan: Plan, selection: Selection) -> Session:
        """This session, once its search has led to a selection, which is recorded before its finals may start."""
        self.store.write_selection(selection)
        for unit in plan.units:
            self.store.folder(unit).create(unit)
        return replace(self, plan=plan)

    def find(self, name: str) -> Unit:
        """A unit of the plan, or a trial that a search proposed, or a recorded unit by the beginning of its id."""
        points = self.store.points()
        proposed = {str(trial): trial.unit for trial in points.trials} if points is not None else {}
        if name in proposed and name not in {str(planned.trial) for planned in self.plan.trials}:
            return self.store.by_id(proposed[name]).unit
        recorded = [folder for folder in self.store.folders() if folder.id.startswith(name)]
        known = {unit.id for unit in self.plan.units}
        if len(recorded) == 1 and recorded[0].id not in known:
            return recorded[0].unit
        return find_unit(self.plan, name)

    def reopen_failed(self) -> None:
        """Forget failure records, so that those units run again. What a selection was made from stays as it is."""
        finals = [planned.unit.id for planned in self.plan.finals]
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
    RunStore.refuse_foreign(runs / loaded.suite.name)  # before minutes of preparing data
    plan, cache = plan_on_data(loaded, data)
    store = RunStore.create(runs / loaded.suite.name)
    store.keep_suite(loaded.text, loaded.suite.hash)
    if loaded.suite.search is not None:
        plan = _with_search(plan, store, select)
    elif select or not store.selection_path.exists():
        store.write_selection(plan.selection())
        if store.points() is not None:  # of an earlier version of the suite
            store.write_points(Points(suite_hash=loaded.suite.hash, trials=[]))
    for unit in plan.units:
        store.folder(unit).create(unit)
    return Session(plan, cache, store)


def _with_search(plan: Plan, store: RunStore, select: bool) -> Plan:
    """Name the points, and take up the selection where the search has led to one already."""
    if select:
        store.write_points(_points(plan, store.points()))
    return plan.with_selection(store.selection()) if store.selection_path.exists() else plan


def _points(plan: Plan, recorded: Points | None) -> Points:
    """The trials of the plan. What an adaptive search named earlier stays, study by study, with its point 0."""
    suite, trials = plan.loaded.suite, [planned.trial for planned in plan.trials]
    adaptive = suite.search is not None and suite.search.mode == "adaptive"
    earlier = recorded.trials if adaptive and recorded is not None and recorded.suite_hash == suite.hash else []
    begun = {(trial.method, trial.study) for trial in trials if trial in earlier}
    kept = [trial for trial in earlier if (trial.method, trial.study) in begun]
    return Points(suite_hash=suite.hash, trials=[*kept, *(trial for trial in trials if trial not in kept)])


def plan_on_data(loaded: LoadedSuite, data: Path | None) -> tuple[Plan, Cache]:
    """The plan for the data as it is. The suite is checked in full before any data is touched."""
    dataset = dataset_of(loaded)
    plan = make_plan(loaded, unprepared(dataset))
    cache = resolve(dataset, data)
    return plan.on_data(cache.reference), cache


def find_unit(plan: Plan, name: str) -> Unit:
    """A unit by id, by the beginning of its id, or by slot: method/labelled/subset/seed, e.g. ua_mt/7/0/1."""
    by_slot = {str(planned.slot): planned.unit for planned in plan.finals}
    by_slot |= {str(planned.trial): planned.unit for planned in plan.trials}
    if name in by_slot:
        return by_slot[name]
    matches = [unit for unit in plan.units if unit.id.startswith(name)]
    if len(matches) != 1:
        some = ", ".join(list(by_slot)[:4])
        raise UsageError(f"{name!r} names {len(matches)} units of this suite; use an id or a slot such as {some}")
    return matches[0]
