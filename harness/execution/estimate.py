"""How long what is left will take, judged by what ran; never a guess."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from harness.api.strict import digest
from harness.records.schema import Budget, Preprocessing, Result, Stride, Unit
from harness.records.status import unit_status
from harness.records.suite_folder import RunStore

Strides = tuple[Stride | None, Stride | None]
Cost = tuple[tuple[Budget, Preprocessing, str, int, Strides], str]

UNKNOWN = "unknown: no finished unit to judge by"


@dataclass(frozen=True)
class WallTime:
    """Seconds from the start of the run to its end, and where the figures come from; None where nothing is known."""

    low_seconds: float | None
    high_seconds: float | None
    source: str


@dataclass(frozen=True)
class _Rate:
    """Wall seconds per unit of the budget's currency, over `count` finished units."""

    low: float
    high: float
    count: int


def wall_time(pending: Sequence[Unit], store: RunStore, device_model: str, workers: int) -> WallTime:
    """A range for the wall time of `pending`, in their order, on `workers` at once.

    Judged by finished units of the same suite, size, budget and device: the smallest and the largest ratio of wall
    time to what was charged. Under `steps` each method is judged by its own units, since a step costs what it costs.
    """
    if not pending:
        return WallTime(None, None, "none, everything is done")
    rates = _rates(pending[0], store, device_model)
    unknown = dict.fromkeys(unit.method for unit in pending if _key(unit) not in rates)
    if unknown:
        return WallTime(None, None, UNKNOWN if not rates else f"{UNKNOWN} for {', '.join(unknown)}")
    left = [unit.budget.amount * (1.0 - unit_status(store.folder(unit)).share) for unit in pending]
    used = [rates[_key(unit)] for unit in pending]
    low = _makespan([amount * rate.low for amount, rate in zip(left, used, strict=True)], workers)
    high = _makespan([amount * rate.high for amount, rate in zip(left, used, strict=True)], workers)
    return WallTime(low, high, _source(rates, pending[0], device_model))


def typical_rates(store: RunStore) -> dict[Cost, float]:
    """Median wall seconds per unit of the budget's currency, over finished units of any device, by `cost_of` a unit."""
    found: dict[Cost, list[float]] = {}
    for folder in store.folders():
        result = folder.result()
        if result is not None and result.status == "ok" and (charged := _charged(folder.unit, result)) > 0:
            rate = sum(result.wall_seconds.values()) / charged
            found.setdefault(cost_of(folder.unit), []).append(rate)
    return {cost: median(rates) for cost, rates in found.items()}


def cost_of(unit: Unit) -> Cost:
    """Units that are equal in this take like wall time per step or device second."""
    return _cost(unit), _key(unit)


def _source(rates: dict[str, _Rate], unit: Unit, device_model: str) -> str:
    count = sum(rate.count for rate in rates.values())
    low, high = min(rate.low for rate in rates.values()), max(rate.high for rate in rates.values())
    per = "step" if unit.budget.steps is not None else "device-second"
    return (
        f"from {count} finished unit{'s' if count > 1 else ''} on {device_model}: {low:.3g} to {high:.3g} wall seconds "
        f"per {per}; the start of processes is not in it"
    )


def _key(unit: Unit) -> str:
    """Under `steps` what decides the cost of one: the method and its hyper-parameters."""
    return f"{unit.method} {digest(unit.params)[:6]}" if unit.budget.steps is not None else ""


def _rates(like: Unit, store: RunStore, device_model: str) -> dict[str, _Rate]:
    found: dict[str, list[float]] = {}
    for unit, result in _finished(like, store, device_model):
        charged = _charged(unit, result)
        if charged > 0:
            found.setdefault(_key(unit), []).append(sum(result.wall_seconds.values()) / charged)
    return {key: _Rate(min(rates), max(rates), len(rates)) for key, rates in found.items()}


def _charged(unit: Unit, result: Result) -> float:
    """What all attempts spent, in the budget's currency."""
    spent = result.spent
    if unit.budget.steps is not None:
        return spent.useful_steps + spent.lost_steps
    return spent.useful_device_seconds + spent.lost_device_seconds


def _finished(like: Unit, store: RunStore, device_model: str) -> Iterator[tuple[Unit, Result]]:
    """Finished units that cost what `like` will cost."""
    for folder in store.folders():
        result = folder.result()
        if result is None or result.status != "ok":
            continue
        unit, environment = folder.unit, folder.environment()
        if _cost(unit) == _cost(like) and environment is not None and environment.device_model == device_model:
            yield unit, result


def _cost(unit: Unit) -> tuple[Budget, Preprocessing, str, int, Strides]:
    """What decides how much wall time comes with the budget: its size, images, cases to test, looks, their windows."""
    strides = unit.engine.window_stride, unit.engine.look_stride
    return unit.budget, unit.preprocessing, unit.dataset.name, unit.engine.looks, strides


def _makespan(seconds: Sequence[float], workers: int) -> float:
    """Wall seconds of jobs that are started in order, each on the first worker that is free."""
    free = [0.0] * max(1, workers)
    for one in seconds:
        heapq.heappush(free, heapq.heappop(free) + one)
    return max(free)
