"""What a suite would run, and how long that takes, judged by finished runs alone.

Writes nothing: no cache is prepared, no directory made.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

from harness.api.strict import digest
from harness.data.cache import Cache
from harness.data.prepare import prepared_cache
from harness.execution.calibration import find_calibration
from harness.records.budget import Budget
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import Preprocessing, Run, Stride
from harness.records.status import State, run_status
from harness.records.suite_folder import SuiteFolder
from harness.suite.costs import missing
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, PlannedTraining, configurations, dataset_of, make_plan, unprepared


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
    if plan.budget.reference_steps is not None:
        known = find_calibration(plan, store)
        if known is None or missing(configurations(plan), known):
            return DryRun(plan, store, None, "the steps of each run are known after calibration")
        plan = plan.on_data(cache.reference, known)
    if store.selection_path.exists():
        plan = plan.with_selection(store.selection())
    records = SuiteRecords(store)
    states = {run.id: run_status(records.run(run.id)).state for run in plan.runs}
    return DryRun(plan, store, states, cache=cache)


Size = tuple[Budget, Preprocessing, str, int, tuple[Stride | None, Stride | None]]
Cost = tuple[Size, str]
K = TypeVar("K", str, Cost)

UNKNOWN = "unknown: no finished run to judge by"


def wall_time(
    pending: Sequence[Run], records: SuiteRecords, device_model: str, workers: int
) -> tuple[float, float, str] | str:
    """A range for the wall time of unfinished runs.

    It comes from finished runs of the same suite, size, budget and device: the smallest and the largest ratio of wall
    time to charge. Under `steps` each method has its own ratios, since steps of two methods cost different times.

    Args:
        pending:      the runs, in the order in which they start.
        records:      records of the suite.
        device_model: where they will run.
        workers:      runs at a time.

    Returns:
        Seconds at least, seconds at most, and the source of the figures; or why nothing is known.
    """
    if not pending:
        return "none, everything is done"
    size = _size(pending[0])
    finished = [
        record
        for record in records.runs
        if record.ok
        and _size(record.run) == size
        and record.environment
        and record.environment.device_model == device_model
    ]
    rates = _rates(finished, _key)
    unknown = dict.fromkeys(run.method for run in pending if _key(run) not in rates)
    if unknown:
        return UNKNOWN if not rates else f"{UNKNOWN} for {', '.join(unknown)}"
    left = [(run.budget.amount * (1.0 - run_status(records.run(run.id)).share), rates[_key(run)]) for run in pending]
    low = _makespan([amount * min(known) for amount, known in left], workers)
    high = _makespan([amount * max(known) for amount, known in left], workers)
    return low, high, _source(rates, pending[0], device_model)


def typical_rates(records: SuiteRecords) -> dict[Cost, float]:
    """Median wall seconds per step or device second, over finished runs of any device, by `cost_of` a run."""
    rates = _rates([record for record in records.runs if record.ok], cost_of)
    return {cost: median(known) for cost, known in rates.items()}


def cost_of(run: Run) -> Cost:
    """What decides the wall time per step or device second of a run."""
    return _size(run), _key(run)


def _rates(finished: Iterable[RunRecord], key: Callable[[Run], K]) -> dict[K, list[float]]:
    """Wall seconds per step or device second of every finished run, by `key`."""
    rates: dict[K, list[float]] = {}
    for record in finished:
        charged = sum(record.spent.in_currency(record.run.budget))
        if charged > 0 and record.result is not None:
            rates.setdefault(key(record.run), []).append(sum(record.result.wall_seconds.values()) / charged)
    return rates


def _source(rates: Mapping[str, Sequence[float]], run: Run, device_model: str) -> str:
    known = [rate for rates_of_key in rates.values() for rate in rates_of_key]
    per = run.budget.currency.removesuffix("s").replace("_", "-")
    return (
        f"from {len(known)} finished run{'s' if len(known) > 1 else ''} on {device_model}: {min(known):.3g} to "
        f"{max(known):.3g} wall seconds per {per}; the start of processes is not included"
    )


def _key(run: Run) -> str:
    """Method and hyper-parameters under `steps`, where they decide the cost of a step. Otherwise empty."""
    return f"{run.method} {digest(run.params)[:6]}" if run.budget.counts_steps else ""


def _size(run: Run) -> Size:
    """What decides the wall time around a budget: its amount, images, cases to test, validations."""
    strides = run.engine.window_stride, run.engine.validation_stride
    return run.budget.of(run.budget.amount), run.preprocessing, run.dataset.name, run.engine.validations, strides


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """Wall seconds of jobs that start in order, each on the first free worker."""
    free = [0.0] * max(1, workers)
    for duration in seconds:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)
