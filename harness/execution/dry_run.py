"""What a suite would run, and how long that takes, judged by finished runs alone.

Writes nothing: no cache is prepared, no directory made.
"""

from __future__ import annotations

import heapq
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from harness.api.strict import digest
from harness.data.cache import Cache
from harness.data.prepare import prepared_cache
from harness.execution.calibration import find_calibration, is_lacking
from harness.execution.session import refuse_unknown_millimetres, with_recorded_trials
from harness.records.budget import Budget
from harness.records.checksums import sha256
from harness.records.reader import SuiteRecords
from harness.records.schema import Environment, Preprocessing, Run, Stride
from harness.records.status import State, run_statuses, share_of
from harness.records.suite_folder import SuiteFolder
from harness.suite.contract import refuse_broken_methods
from harness.suite.load import LoadedSuite
from harness.suite.plan import Plan, PlannedTraining, dataset_of, make_plan, unprepared

if TYPE_CHECKING:
    from harness.records.ended import Settings


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


def make_dry_run(loaded: LoadedSuite, data: Path | None, runs: Path, rung: int | None = None) -> DryRun:
    """Plan a suite and compare it with the records; raises for a bad suite or bad data as `open_session`."""
    dataset = dataset_of(loaded)
    plan = make_plan(loaded, unprepared(dataset)).at_rung(rung)
    refuse_broken_methods(plan)
    store, known, lacking = SuiteFolder(runs / loaded.suite.name), None, False
    if plan.budget.currency == "reference_steps":
        known = find_calibration(plan, store)
        lacking = is_lacking(plan, known)
        plan = plan if lacking else plan.on_data(plan.data, known)
    if data is None and dataset.layouts and not os.environ.get("HARNESS_DATA"):
        return DryRun(plan, store, None, "no data given")
    cache = prepared_cache(dataset, data)
    if cache is None:
        source = "" if data is None else f" --from {shlex.quote(str(data))}"
        does_it = f"`harness data prepare {dataset.name}{source}` does it"
        return DryRun(plan, store, None, f"{dataset.name} is not prepared yet; {does_it}")
    refuse_unknown_millimetres(loaded, cache)
    if lacking:
        plan = plan.on_data(cache.reference)
        return DryRun(plan, store, None, "the steps of each run are known after calibration", cache)
    plan = with_recorded_trials(plan.on_data(cache.reference, known), store)
    if store.selection_path.exists():
        plan = plan.with_selection(store.selection())
    records, ids = SuiteRecords(store), [run.id for run in plan.runs]
    statuses = run_statuses(records, ids, records.ended_of(ids))
    return DryRun(plan, store, {run: status.state for run, status in statuses.items()}, cache=cache)


Size = tuple[Budget, Preprocessing, str, int, tuple[Stride | None, Stride | None]]
Cost = tuple[Size, str]

UNKNOWN = "unknown: no finished run to judge by"


def wall_time(
    pending: Sequence[Run], records: SuiteRecords, device_model: str, workers: int
) -> tuple[float, float, str] | str:
    """Seconds at least and at most for unfinished runs, and the source of the figures; or why nothing is known.

    By finished runs of the same suite, size, budget and device: the smallest and the largest ratio of wall time to
    charge. Under `steps` each method has its own ratios, since its steps cost their own times. pending: in the order in
    which they start; workers: runs at a time.
    """
    if not pending:
        return "none"
    costs = {cost_of(run) for run in pending}
    rates: dict[Cost, list[float]] = {}
    for cost, environment, rate in _finished(records):
        if cost in costs and environment and environment.device_model == device_model:
            rates.setdefault(cost, []).append(rate)
    unknown = dict.fromkeys(f"{run.method} of {run.budget}" for run in pending if cost_of(run) not in rates)
    if unknown:
        return UNKNOWN if not rates else f"{UNKNOWN} for {', '.join(unknown)}"
    shares = [share_of(run.budget, records.run(run.id).spent) for run in pending]
    left = [
        (run.budget.amount * (1.0 - share), rates[cost_of(run)]) for run, share in zip(pending, shares, strict=True)
    ]
    low = _makespan([amount * min(known) for amount, known in left], workers)
    high = _makespan([amount * max(known) for amount, known in left], workers)
    return low, high, _source(rates, pending[0], device_model)


def typical_rates(records: SuiteRecords) -> dict[Cost, float]:
    """Median wall seconds per step or device second, over finished runs of any device, by `cost_of` a run."""
    rates: dict[Cost, list[float]] = {}
    for cost, _, rate in _finished(records):
        rates.setdefault(cost, []).append(rate)
    return {cost: median(known) for cost, known in rates.items()}


def cost_of(run: Run) -> Cost:
    """What decides the wall time per step or device second of a run; under `steps` hyper-parameters, too."""
    return _size(run), f"{run.method} {digest(run.params)[:6]}" if run.budget.counts_steps else ""


def _finished(records: SuiteRecords) -> Iterator[tuple[Cost, Environment | None, float]]:
    """Of every run that has numbers: its cost, where it ended, wall seconds per step or device second."""
    ended = records.ended_of(folder.id for folder in records.store.folders())
    names = ("run", "status", "method", "params", "settings", "environment", "wall_seconds")
    for spent, run, status, method, params, text, fingerprint, wall in zip(
        ended.spent, *map(ended.column, names), strict=True
    ):
        settings = ended.settings[text]
        charged = sum(spent.in_currency(settings.budget))
        if status == "ok" and charged > 0:
            key = f"{method} {sha256(params.encode())[:6]}" if settings.budget.counts_steps else ""
            named_by = records.root / "runs" / run / "result.json"
            environment = records.environment(fingerprint, named_by) if fingerprint else None
            yield (_size(settings), key), environment, sum(json.loads(wall).values()) / charged


def _source(rates: Mapping[Cost, Sequence[float]], run: Run, device_model: str) -> str:
    known = [rate for rates_of_key in rates.values() for rate in rates_of_key]
    per = run.budget.currency.removesuffix("s").replace("_", "-")
    return (
        f"from {len(known)} finished run{'s' if len(known) > 1 else ''} on {device_model}: {min(known):.3g} to "
        f"{max(known):.3g} wall seconds per {per}; the start of processes is not included"
    )


def _size(run: Run | Settings) -> Size:
    """What decides the wall time around a budget: its amount, images, cases to test, validations."""
    strides = run.engine.window_stride, run.engine.validation_stride
    return run.budget.of(run.budget.amount), run.preprocessing, run.dataset.name, run.engine.validations, strides


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """Wall seconds of jobs that start in order, each on the first free worker."""
    free = [0.0] * max(1, workers)
    for duration in seconds:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)
