"""The rows of a suite: each a method with its hyper-parameters and what a search may vary of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.api.errors import UsageError
from harness.api.names import suggest
from harness.api.params import MethodParams
from harness.api.space import Dimension, Point
from harness.records.schema import Engine
from harness.suite.load import ALIKE, SHARED_ENGINE, LoadedSuite, Location
from harness.suite.registry import load_method

if TYPE_CHECKING:  # a misspelt suite is told before torch is loaded
    from harness.api.method import Method

ENGINE = "engine."
"""Prefix of searched engine settings among the dimensions of a row."""


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    params: as the suite asks for them; point 0 of a search.
    engine: the same of the engine's settings.
    space:  dimensions by name, the method's own first; those of the engine start with "engine.".
    """

    name: str
    method: type[Method]
    params: MethodParams
    engine: Engine
    space: Mapping[str, Dimension]

    @property
    def takes_all_labels(self) -> bool:
        """A ceiling: it does not depend on the labelled count."""
        return self.method.labels == "all"

    def current_values(self) -> dict[str, Any]:
        """Where point 0 stands on each dimension, None where on no single value."""
        flat = dotted(self.engine.model_dump(mode="json"))
        return {
            name: flat[name.removeprefix(ENGINE)] if name.startswith(ENGINE) else self.params.current_value(name)
            for name in self.space
        }

    def params_at(self, point: Point) -> MethodParams:
        """Hyper-parameters at a point; raises pydantic's `ValidationError` for an impossible one."""
        own = {name: value for name, value in point.items() if not name.startswith(ENGINE)}
        return self.method.Params.model_validate(self.params.with_values(own))

    def engine_at(self, point: Point) -> Engine:
        """Engine settings at a point."""
        values = self.engine.model_dump(mode="json")
        for name, value in point.items():
            if name.startswith(ENGINE):
                *path, last = name.removeprefix(ENGINE).split(".")
                inner = values
                for part in path:
                    inner = inner[part]
                inner[last] = value
        return Engine.model_validate(values)


def rows_of(loaded: LoadedSuite) -> dict[str, Row]:
    """Every row by name; raises `UsageError` with the line of what is wrong."""
    return {name: _row(loaded, name) for name in loaded.suite.methods}


def dotted(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"optimiser": {"momentum": 0.9}} -> {"optimiser.momentum": 0.9}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = dotted(value) if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name}.{below}": one for below, one in inner.items()}
    return flat


def _row(loaded: LoadedSuite, name: str) -> Row:
    suite = loaded.suite
    try:
        method = load_method(suite.method_of(name))
    except UsageError as error:
        named = suite.methods[name].method is not None
        raise loaded.error(("methods", name, "method") if named else ("methods", name), str(error)) from None
    try:
        params = method.Params.model_validate(suite.methods[name].params)
    except ValidationError as error:
        raise loaded.invalid(("methods", name, "params"), error, method.Params) from None
    row = Row(name, method, params, suite.engine_of(name), {})
    return row if suite.search is None else Row(name, method, params, row.engine, _space(loaded, row))


def _space(loaded: LoadedSuite, row: Row) -> dict[str, Dimension]:
    """The method's dimensions as the suite narrows, pins or extends them, then the engine's that all rows share."""
    space = row.method.Params.space()
    for name, dimension in loaded.suite.methods[row.name].search.items():
        at: Location = ("methods", row.name, "search", name)
        if name not in space and name not in row.method.Params.model_fields:
            raise loaded.error(at, f"unknown dimension; {suggest(name, [*space, *row.method.Params.model_fields])}")
        if dimension is None:
            space.pop(name, None)
        else:
            space[name] = dimension
    shared = {} if loaded.suite.search is None else loaded.suite.search.engine
    known = dotted(row.engine.model_dump(mode="json"))
    for name, dimension in shared.items():
        if name in SHARED_ENGINE:
            raise loaded.error(("search", "engine", name), ALIKE)
        if name not in known:
            raise loaded.error(("search", "engine", name), f"unknown engine setting; {suggest(name, known)}")
        space[ENGINE + name] = dimension
    _check_ends(loaded, row, space)
    return space


def _check_ends(loaded: LoadedSuite, row: Row, space: Mapping[str, Dimension]) -> None:
    """Every choice and both ends of every range must be possible values."""
    for name, dimension in space.items():
        for value in dimension.values:
            try:
                row.params_at({name: value})
                row.engine_at({name: value})
            except ValidationError as error:
                shared = name.startswith(ENGINE)
                at: Location = ("search", "engine") if shared else ("methods", row.name, "search")
                message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                raise loaded.error((*at, name.removeprefix(ENGINE)), f"{value!r}: {message}") from None
