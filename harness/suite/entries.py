"""The entries of a suite, each a method with its hyper-parameters, and the trials of a search over them.

The points of trials are drawn before anything runs, whatever the timing, workers and machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.api.errors import UsageError, suggest
from harness.api.params import Dimension, MethodParams, Point
from harness.records.schema import Engine
from harness.suite.costs import priced, task_of
from harness.suite.load import ALIKE, NO_NUMBER, SHARED_ENGINE, LoadedSuite, Search, merge
from harness.suite.registry import load_dataset, load_method
from harness.suite.yaml_text import Location, booleans_for_numbers

if TYPE_CHECKING:  # a misspelt suite is refused before torch is loaded
    from harness.api.method import Method
from collections.abc import Sequence
from itertools import product

from harness.api.strict import digest
from harness.records.calibration import Calibration
from harness.records.schema import DatasetRef, Run, Trial

ENGINE = "engine."
"""Prefix of searched engine settings among the dimensions of a entry."""


@dataclass(frozen=True)
class Entry:
    """A method as the suite names it.

    params: hyper-parameters as the suite gives them; point 0 of a search.
    engine: engine settings as the suite gives them; point 0 of a search too.
    space:  dimensions by name, the method's own first; those of the engine start with "engine.".
    """

    name: str
    method: type[Method]
    params: MethodParams
    engine: Engine
    space: Mapping[str, Dimension]

    @property
    def takes_all_labels(self) -> bool:
        """Whether it is a fully supervised reference, which does not depend on the labelled count."""
        return self.method.labels == "all"

    def current_values(self) -> dict[str, Any]:
        """The value of point 0 on each dimension; None where it has no single value."""
        flat = flatten(self.engine.model_dump(mode="json"))
        return {
            name: flat[name.removeprefix(ENGINE)] if name.startswith(ENGINE) else self.params.current_value(name)
            for name in self.space
        }

    def params_at(self, point: Point) -> MethodParams:
        """Hyper-parameters at a point. Raises pydantic's `ValidationError` for an impossible one."""
        own = {name: value for name, value in point.items() if not name.startswith(ENGINE)}
        return self.method.Params.model_validate(self.params.with_values(own))

    def engine_at(self, point: Point) -> Engine:
        """Engine settings at a point."""
        values = self.engine.model_dump(mode="json")
        for name, value in point.items():
            if name.startswith(ENGINE):
                *path, last = name.removeprefix(ENGINE).split(".")
                values = merge(values, reduce(lambda inner, part: {part: inner}, reversed(path), {last: value}))
        return Engine.model_validate(values)

    def problem_at(self, point: Point) -> ValidationError | None:
        """Why a point is impossible. None where it is possible."""
        try:
            self.params_at(point)
            self.engine_at(point)
        except ValidationError as error:
            return error
        return None


def entries_of(loaded: LoadedSuite) -> dict[str, Entry]:
    """Every entry by name. Raises `UsageError` with the line of what is wrong."""
    return {name: _entry(loaded, name) for name in loaded.suite.methods}


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"optimiser": {"momentum": 0.9}} -> {"optimiser.momentum": 0.9}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = flatten(value) if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{below}": each for below, each in inner.items()}
    return flat


def _entry(loaded: LoadedSuite, name: str) -> Entry:
    suite = loaded.suite
    try:
        method = load_method(suite.methods[name].method or name)
    except UsageError as error:
        named = suite.methods[name].method is not None
        raise loaded.error(("methods", name, "method") if named else ("methods", name), str(error)) from None
    try:
        params = method.Params.model_validate(suite.methods[name].params)
    except ValidationError as error:
        raise loaded.invalid(("methods", name, "params"), error, method.Params) from None
    loaded.refuse_booleans(("methods", name, "params"), suite.methods[name].params, params)
    entry = Entry(name, method, params, suite.engine_of(name), {})
    if entry.engine.compile and not method.capturable:
        problem = f"{method.name} does not declare that its step can be captured; leave compile out for all methods"
        raise loaded.error(("engine", "compile"), problem)
    if entry.engine.loss != "default" and not method.engine_loss:
        problem = f"{method.name} has a loss of its own for labelled images; leave loss out, or {method.name}"
        at: Location = (
            ("methods", name, "engine", "loss") if "loss" in suite.methods[name].engine else ("engine", "loss")
        )
        raise loaded.error(at, problem)
    return entry if suite.search is None else replace(entry, space=_space(loaded, suite.search, entry))


def _space(loaded: LoadedSuite, search: Search, entry: Entry) -> dict[str, Dimension]:
    """The method's dimensions as the suite narrows, pins or extends them, then the engine's that all entries share."""
    space = entry.params.space()
    for name, dimension in loaded.suite.methods[entry.name].search.items():
        at: Location = ("methods", entry.name, "search", name)
        if name not in space and name not in entry.method.Params.model_fields:
            raise loaded.error(at, f"unknown dimension; {suggest(name, [*space, *entry.method.Params.model_fields])}")
        if dimension is None:
            space.pop(name, None)
        else:
            space[name] = dimension
    known = flatten(entry.engine.model_dump(mode="json"))
    for name, dimension in search.engine.items():
        if name in SHARED_ENGINE or name not in known:
            unknown = f"unknown engine setting; {suggest(name, known)}"
            raise loaded.error(("search", "engine", name), ALIKE if name in SHARED_ENGINE else unknown)
        space[ENGINE + name] = dimension
    _check_ends(loaded, entry, space)
    return space


def _check_ends(loaded: LoadedSuite, entry: Entry, space: Mapping[str, Dimension]) -> None:
    """Every choice and both ends of every range must be possible values."""
    for name, value in [(name, value) for name, dimension in space.items() for value in dimension.values]:
        shared, point = name.startswith(ENGINE), {name: value}
        at: Location = ("search", "engine") if shared else ("methods", entry.name, "search")
        if error := entry.problem_at(point):
            message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        else:
            engine = flatten(entry.engine_at(point).model_dump())
            made = engine[name.removeprefix(ENGINE)] if shared else entry.params_at(point).current_value(name)
            message = NO_NUMBER if list(booleans_for_numbers(value, made)) else ""
        if message:
            raise loaded.error((*at, name.removeprefix(ENGINE)), f"{value!r}: {message}")


PROBES = 64
"""Points of an adaptive search's space that are tried in the plan."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and its run."""

    trial: Trial
    run: Run


def make_trials(
    loaded: LoadedSuite, entries: Mapping[str, Entry], data: DatasetRef, calibration: Calibration | None = None
) -> tuple[PlannedTrial, ...]:
    """All trials that can be named before any has run, point by point, so that entries advance together.

    A point that equals an earlier one of its entry and study is left out: the same run would measure it. An adaptive
    search names only the default here. Its other points depend on results.
    """
    search = loaded.suite.search
    if search is None:
        return ()
    trials: dict[tuple[int, str, str], PlannedTrial] = {}
    for study in range(search.studies):
        points = {name: _points(loaded, search, entry, study) for name, entry in entries.items()}
        for number in range(max(map(len, points.values()))):
            for name, own in points.items():
                if number < len(own):
                    planned = make_trial(loaded, search, entries[name], study, number, own[number], data, calibration)
                    trials.setdefault((study, name, planned.run.id), planned)
    return tuple(trials.values())


def make_trial(
    loaded: LoadedSuite,
    search: Search,
    entry: Entry,
    study: int,
    number: int,
    point: Point,
    data: DatasetRef,
    calibration: Calibration | None = None,
) -> PlannedTrial:
    """One point of one entry, and its run."""
    try:
        params, engine = entry.params_at(point), entry.engine_at(point)
    except ValidationError as error:
        raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params) from None
    run = Run(
        role="search",
        method=entry.method.name,
        method_version=entry.method.version,
        params=params.model_dump(mode="json"),
        dataset=data,
        preprocessing=loaded.suite.preprocessing,
        labelled=None if entry.takes_all_labels else search.labelled,
        subset=0 if entry.takes_all_labels else search.subset,
        seed=search.seed + study,
        validation_patients=loaded.suite.validation_patients,
        engine=engine.model_copy(update={"validations": search.validations}),
        budget=search.budget,
    )
    run = priced_in(loaded, run, calibration)
    varied = {**entry.current_values(), **point}
    return PlannedTrial(Trial(entry=entry.name, study=study, point=number, varied=varied, run=run.id), run)


def priced_in(loaded: LoadedSuite, run: Run, calibration: Calibration | None) -> Run:
    """The run with the steps that its reference steps buy; as it is under another currency, or not calibrated yet."""
    if run.budget.reference_steps is None or calibration is None:
        return run
    task = task_of(load_dataset(loaded.suite.dataset), loaded.suite.preprocessing.size)
    return priced(run, loaded.suite.engine, task, calibration)


def _points(loaded: LoadedSuite, search: Search, entry: Entry, study: int) -> list[dict[str, Any]]:
    """The default first, then what the mode adds."""
    if search.mode == "adaptive":
        _check_inside(loaded, entry)
        return [{}]
    if search.mode == "grid":
        try:
            return [point for point in combine_choices(entry.space) if entry.problem_at(point) is None]
        except ValueError as error:
            raise loaded.error(("methods", entry.name), str(error)) from None
    return (
        [{}]
        if not entry.space
        else [{}, *draw_sobol_points(entry.space, (search.trials or 1) - 1, (entry.name, study, search.seed))]
    )


def _check_inside(loaded: LoadedSuite, entry: Entry) -> None:
    """Refuse a space with impossible points now, by points drawn from it, and not in the middle of a search."""
    for point in draw_sobol_points(entry.space, PROBES, (entry.name, "probe")):
        if error := entry.problem_at(point):
            raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params)


def draw_sobol_points(space: Mapping[str, Dimension], count: int, key: Sequence[str | int]) -> list[dict[str, Any]]:
    """`count` points of a scrambled Sobol sequence (Owen 1998), one coordinate per dimension.

    Args:
        space: Dimensions by name.
        count: Number of points.
        key: What seeds the scrambling (entry, study, seed). A dimension that one entry gains moves no other entry's
            points.

    Returns:
        The points, each with a value for every dimension.
    """
    import numpy as np
    from scipy.stats import qmc

    if count <= 0 or not space:
        return [{} for _ in range(max(count, 0))]
    generator = np.random.default_rng(int(digest(list(key))[:16], 16))
    sequence = qmc.Sobol(len(space), scramble=True, rng=generator)
    shares = sequence.random_base2((count - 1).bit_length())[:count]  # a power of two keeps the sequence balanced
    return [
        {name: dimension.at(float(share)) for (name, dimension), share in zip(space.items(), coordinates, strict=True)}
        for coordinates in shares
    ]


def combine_choices(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """Every combination of the choices, the last dimension fastest. Raises ValueError for a dimension without any."""
    ranges = [name for name, dimension in space.items() if dimension.scale != "choice"]
    if ranges:
        raise ValueError(f"a grid needs choices: list the values of {', '.join(ranges)}, or pin them with null")
    return [
        dict(zip(space, values, strict=True)) for values in product(*(dimension.values for dimension in space.values()))
    ]
