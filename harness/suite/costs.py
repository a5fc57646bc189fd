"""What the runs of a suite may spend under a budget of reference steps: their cost keys, and their steps by stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

from harness.api.dataset import Dataset, Task
from harness.api.errors import UsageError
from harness.api.params import Dimension, MethodParams
from harness.api.strict import canonical_json
from harness.records.calibration import Calibration, EntryKey, StagePlan, TooFewStepsError, engine_cost, resolve
from harness.records.schema import CalibrationRef, Engine, Run
from harness.suite.registry import load_method, load_methods

if TYPE_CHECKING:
    from harness.api.method import Method


UNCOUNTED_STEPS = 10**9
"""Of runs whose steps are measured and never end."""


@dataclass(frozen=True)
class Configuration:
    """A cost key, which a calibration measures, and a run that has it. unit: it is plain supervised training itself."""

    key: EntryKey
    run: Run
    unit: bool


def task_of(dataset: Dataset, size: tuple[int, ...]) -> Task:
    return Task(dataset.name, dataset.dimension, dataset.channels, dataset.classes, size)


def unit_method() -> type[Method]:
    """The method whose step is the unit of reference steps. Raises `UsageError` where there is not exactly one."""
    units = [kind for kind in load_methods()[0] if kind.unit]
    if len(units) != 1:
        names = ", ".join(kind.name for kind in units) or "none"
        raise UsageError(f"reference steps need exactly one method that is their unit; there are: {names}")
    return units[0]


def cost_key(method: type[Method], params: MethodParams, engine: Engine, usual: Engine, task: Task) -> EntryKey:
    """What decides the cost of a configuration; usual: the suite's engine settings."""
    values = params.model_dump(mode="json")
    own, common = engine_cost(engine), engine_cost(usual)
    return EntryKey(
        method=method.name,
        method_version=method.version,
        params={name: values[name] for name in method.Params.cost_bearing()},
        engine={name: own.get(name) for name in own | common if own.get(name) != common.get(name)},
        stages=tuple(stage.name for stage in stage_plans(method, params, task)),
    )


def searched_keys(key: EntryKey, space: Mapping[str, Dimension]) -> list[EntryKey]:
    """All keys that a search over `space` may come to.

    Raises `ValueError` for a dimension without choices that changes the cost of a step: nobody could measure them all.
    """
    searched = {name: dimension for name, dimension in space.items() if name in key.params}
    if ranges := [name for name, dimension in searched.items() if dimension.scale != "choice"]:
        raise ValueError(f"{', '.join(ranges)} changes the cost of a step: list the values that may be tried")
    points = product(*(dict.fromkeys((*own.values, key.params[name])) for name, own in searched.items()))
    return [key.model_copy(update={"params": key.params | dict(zip(searched, p, strict=True))}) for p in points]


def is_unit(key: EntryKey, method: type[Method]) -> bool:
    """Whether this is plain supervised training at the suite's settings, which gets the reference steps themselves."""
    plain = method.Params().model_dump(mode="json")
    return method.unit and not key.engine and all(plain[name] == value for name, value in key.params.items())


def priced(run: Run, usual: Engine, task: Task, calibration: Calibration) -> Run:
    """A run with the steps by stage that its reference steps buy; usual: the suite's engine settings.

    Raises `UsageError` where the calibration lacks it, `TooFewStepsError` where a stage would have too few steps.
    """
    method = load_method(run.method)
    params = method.Params.model_validate(run.params)
    key = cost_key(method, params, run.engine, usual, task)
    cost = None
    if not is_unit(key, method):
        cost = calibration.cost_of(key)
        if cost is None:
            raise UsageError(f"the calibration holds no {key}; measure it with `harness calibrate`")
    try:
        budget = resolve(run.budget, stage_plans(method, params, task), cost)
    except TooFewStepsError as error:
        raise TooFewStepsError(f"{run.method}: {error}; give it a larger budget or another share") from None
    reference = CalibrationRef(header=calibration.header.hash, entry=cost.digest if cost else None)
    return run.model_copy(update={"budget": budget, "calibration": reference})


def stage_plans(method: type[Method], params: MethodParams, task: Task) -> list[StagePlan]:
    return list(_stage_plans(method.name, canonical_json(params.model_dump(mode="json")), task))


@lru_cache(maxsize=1024)
def _stage_plans(name: str, params: str, task: Task) -> tuple[StagePlan, ...]:
    """By the text of the parameters: to know its stages, the method is built, with all of its networks."""
    import torch

    method = load_method(name)
    with torch.random.fork_rng(devices=[]):
        built = method.build(task, method.Params.model_validate_json(params))
    return tuple(StagePlan(name=s.name, share=s.share, events=built.events(s)) for s in built.stages)


def missing(wanted: Iterable[Configuration], calibration: Calibration | None) -> list[Configuration]:
    """The configurations that still have to be measured, each once; without a calibration all but the unit."""
    by_key = {canonical_json(each.key.model_dump(mode="json")): each for each in wanted if not each.unit}
    return [each for each in by_key.values() if calibration is None or calibration.cost_of(each.key) is None]
