"""A suite bound to its data and its run directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.data.cache import Cache
from harness.data.prepare import resolve
from harness.plan import Plan, dataset_of, make_plan, unprepared
from harness.spec.errors import UsageError
from harness.spec.records import Unit
from harness.store import RunStore, UnitFolder
from harness.suite import LoadedSuite, load_suite


@dataclass(frozen=True)
class Session:
    """Everything that an executor needs."""

    plan: Plan
    cache: Cache
    store: RunStore

    def folder(self, unit: Unit) -> UnitFolder:
        """The unit's records."""
        return self.store.folder(unit)

    def pending(self) -> list[Unit]:
        """Units without a result, in the plan's order."""
        return [unit for unit in self.plan.units if not self.folder(unit).done]

    def reopen_failed(self) -> None:
        """Forget failure records, so that those units run again."""
        for unit in self.plan.units:
            result = self.folder(unit).result()
            if result is not None and result.status == "failed":
                self.folder(unit).reopen()


def open_session(
    suite: str, data: Path | None, runs: Path, say: Callable[[str], None], *, select: bool = True
) -> Session:
    """Validate the suite, find or prepare its data, and record what was asked before anything runs.

    select: write the selection. False keeps the one that is there, so that a child of an earlier driver cannot turn
    back what a later driver selected.
    """
    loaded = load_suite(suite)
    RunStore.refuse_foreign(runs / loaded.suite.name)  # before minutes of preparing data
    plan, cache = plan_on_data(loaded, data, say)
    store = RunStore.create(runs / loaded.suite.name)
    store.keep_suite(loaded.text, loaded.suite.hash)
    if select or not store.selection_path.exists():
        store.write_selection(plan.selection())
    for unit in plan.units:
        store.folder(unit).create(unit)
    return Session(plan, cache, store)


def plan_on_data(loaded: LoadedSuite, data: Path | None, say: Callable[[str], None]) -> tuple[Plan, Cache]:
    """The plan for the data as it is. The suite is checked in full before any data is touched."""
    dataset = dataset_of(loaded)
    make_plan(loaded, unprepared(dataset))
    cache = resolve(dataset, data, say)
    return make_plan(loaded, cache.reference), cache


def find_unit(plan: Plan, name: str) -> Unit:
    """A unit by id, by the beginning of its id, or by slot: method/labelled/subset/seed, e.g. ua_mt/7/0/1."""
    by_slot = {str(planned.slot): planned.unit for planned in plan.finals}
    if name in by_slot:
        return by_slot[name]
    matches = [unit for unit in plan.units if unit.id.startswith(name)]
    if len(matches) != 1:
        some = ", ".join(list(by_slot)[:4])
        raise UsageError(f"{name!r} names {len(matches)} units of this suite; use an id or a slot such as {some}")
    return matches[0]
