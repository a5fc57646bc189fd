"""The entries of a suite, each a method with its hyper-parameters and what a search may vary of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.api.errors import UsageError, suggest
from harness.api.params import Dimension, MethodParams, Point
from harness.records.schema import Engine
from harness.suite.load import ALIKE, NO_NUMBER, SHARED_ENGINE, LoadedSuite, Search, merge
from harness.suite.registry import load_method
from harness.suite.yaml_text import Location, booleans_for_numbers

if TYPE_CHECKING:  # a misspelt suite is refused before torch is loaded
    from harness.api.method import Method

ENGINE = "engine."
"""Prefix of searched engine settings among the dimensions of a entry."""


@dataclass(frozen=True)
class Entry:
    """A method as the suite names it; params and engine are point 0 of a search.

    space: dimensions by name, the method's own first; those of the engine start with "engine.".
    """

    name: str
    method: type[Method]
    params: MethodParams
    engine: Engine
    space: Mapping[str, Dimension]

    @property
    def takes_all_labels(self) -> bool:
        """Whether it is a fully supervised reference."""
        return self.method.labels == "all"

    def current_values(self) -> dict[str, Any]:
        """The value of point 0 on each dimension; None where it has no single value."""
        flat = flatten(self.engine.model_dump(mode="json"))
        return {
            name: flat[name.removeprefix(ENGINE)] if name.startswith(ENGINE) else self.params.current_value(name)
            for name in self.space
        }

    def params_at(self, point: Point) -> MethodParams:
        """Hyper-parameters at a point; pydantic's `ValidationError` for an impossible one."""
        own = {name: value for name, value in point.items() if not name.startswith(ENGINE)}
        return self.method.Params.model_validate(self.params.with_values(own))

    def engine_at(self, point: Point) -> Engine:
        values = self.engine.model_dump(mode="json")
        for name, value in point.items():
            if name.startswith(ENGINE):
                *path, last = name.removeprefix(ENGINE).split(".")
                values = merge(values, reduce(lambda inner, part: {part: inner}, reversed(path), {last: value}))
        return Engine.model_validate(values)

    def problem_at(self, point: Point) -> ValidationError | None:
        """Why a point is impossible; None where it is not."""
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
    """The method's dimensions as the suite has them, then the engine's that all entries share."""
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
