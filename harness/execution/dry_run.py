"""What a suite would run. Writes nothing: no cache is prepared, no directory made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.data.cache import Cache
from harness.data.prepare import prepared_cache
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


def used_states(dry_run: DryRun) -> tuple[State, ...]:
    """The states of all runs, each once, in the order of `STATES`. Empty where nothing is known."""
    present = set((dry_run.states or {}).values())
    return tuple(state for state in STATES if state in present)
