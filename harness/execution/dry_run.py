"""What a suite would run. Writes nothing: no cache is prepared, no directory made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.api.dataset import Dataset
from harness.data.cache import MANIFEST, Cache
from harness.data.locate import cache_home, cache_name, locate
from harness.data.prepare import resolve
from harness.records.reader import SuiteRecords
from harness.records.schema import Run
from harness.records.status import STATES, State, run_status
from harness.records.suite_folder import SuiteFolder
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, PlannedTraining, dataset_of, make_plan, unprepared


@dataclass(frozen=True)
class DryRun:
    """A plan and the states of its runs.

    states:  by run id. None where the data, and so the ids, are unknown.
    unknown: why they are unknown.
    cache:   the prepared data, where they are known.
    """

    plan: Plan
    store: SuiteFolder
    states: Mapping[str, State] | None
    unknown: str = ""
    cache: Cache | None = None

    @property
    def pending(self) -> list[Run]:
        """Runs that `run` would start, in its order. All of them where nothing is known."""
        states = self.states or {}
        return [run for run in self.plan.runs if states.get(run.id) not in ("done", "failed")]

    def state(self, training: PlannedTraining) -> State:
        """The state of a run in the plan; one that a search has yet to name is to run."""
        return "to run" if training.run is None else (self.states or {}).get(training.run.id, "to run")


def make_dry_run(loaded: LoadedSuite, data: Path | None, runs: Path) -> DryRun:
    """Plan a suite and compare it with the records.

    Args:
        loaded: the suite.
        data:   folder of the data set, or of prepared data. None takes HARNESS_DATA.
        runs:   folder RUNS of all suites.

    Raises:
        UsageError, DataError: as `run` would, for a bad suite or bad data.
    """
    dataset = dataset_of(loaded)
    plan = make_plan(loaded, unprepared(dataset))
    store = SuiteFolder(runs / loaded.suite.name)
    if data is None and dataset.layouts and not os.environ.get("HARNESS_DATA"):
        return DryRun(plan, store, None, "no data given")
    cache = prepared_cache(dataset, data)
    if cache is None:
        return DryRun(plan, store, None, f"{dataset.name} is not prepared yet; `harness run` prepares it")
    plan = plan.on_data(cache.reference)
    if store.selection_path.exists():
        plan = plan.with_selection(store.selection())
    records = SuiteRecords(store)
    states = {run.id: run_status(records.run(run.id)).state for run in plan.runs}
    return DryRun(plan, store, states, cache=cache)


def prepared_cache(dataset: Dataset, data: Path | None) -> Cache | None:
    """The cache that `resolve` opens. None where it would have to prepare one. Raises `DataError` as `resolve` does."""
    if data is None and dataset.layouts and os.environ.get("HARNESS_DATA"):
        data = Path(os.environ["HARNESS_DATA"])
    if dataset.layouts and data is not None and data.is_dir() and not (data / MANIFEST).is_file():
        located = locate(dataset, data)
        folder = located[0] if located else None
    else:
        folder = None
    prepares = folder is not None or (data is None and not dataset.layouts)
    if prepares and not (cache_home() / cache_name(dataset, folder)).exists():
        return None
    return resolve(dataset, data)


def used_states(dry_run: DryRun) -> tuple[State, ...]:
    """The states of all runs, each once, in the order of `STATES`. Empty where nothing is known."""
    present = set((dry_run.states or {}).values())
    return tuple(state for state in STATES if state in present)
