"""What a suite may set of a method: hyper-parameters, each with its own search space, and the optimiser's settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from harness.api.strict import Strict

Point = Mapping[str, Any]
"""Values by dimension; a dimension that is not in it keeps the method's default."""

Alteration = Literal["mixed", "altered"]
"""What may happen to an image after the engine's augmentation. mixed: every pixel is that of some image of the batch,
in its place (cutmix, classmix); altered: anything else (jitter, blur, noise, warps, crops)."""


class OptimiserSettings(Strict):
    """SGD, the field's optimiser; the learning rate is the value at progress 0 of each stage."""

    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["poly", "constant"] = "poly"
    poly_power: float = Field(0.9, gt=0)


class Dimension(Strict):
    """One searched hyper-parameter.

    Attributes:
        scale: linear and log run from the first to the second value, choice takes one of them.
        values: (low, high), or the choices, in an order in which neighbours are alike.
    """

    scale: Literal["linear", "log", "choice"] = "choice"
    values: tuple[Any, ...]

    @model_validator(mode="after")
    def _possible(self) -> Dimension:
        if self.scale == "choice":
            if not self.values:
                raise ValueError("a choice needs at least one value")
            return self
        if len(self.values) != 2 or not all(_is_number(value) for value in self.values):
            raise ValueError(f"a {self.scale} dimension needs two numbers, low and high, not {list(self.values)}")
        low, high = self.values
        if not low < high or (self.scale == "log" and low <= 0):
            raise ValueError(f"a {self.scale} dimension runs from low to a greater high, not {low:g} to {high:g}")
        return self

    def at(self, share: float) -> Any:  # noqa: ANN401 - whatever the choices are
        """Find the value at a share of the dimension.

        Args:
            share: In [0, 1). Choices have equal intervals of it, in their order.

        Returns:
            One of the choices, or a number of six significant digits.
        """
        if self.scale == "choice":
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        low, high = self.values
        if self.scale == "linear":
            value = low + share * (high - low)
        else:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        return min(max(rounded(value), float(low)), float(high))  # rounding must not leave the range

    def holds(self, value: Any) -> bool:  # noqa: ANN401
        """Say whether a search could come to this value.

        Args:
            value: Anything that the field may hold.

        Returns:
            True for one of the choices, or a number of the range.
        """
        if self.scale == "choice":
            return value in self.values
        low, high = self.values
        return _is_number(value) and low <= value <= high

    def __str__(self) -> str:
        """0.01 to 1, log; or the choices, 1 | 2 | 4."""
        if self.scale == "choice":
            return " | ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in self.values)
        low, high = self.values
        return f"{low:g} to {high:g}, {self.scale}"


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def rounded(value: float) -> float:
    """Six significant digits: people read them, and run ids must not hang on the last bit of a machine's exp."""
    return float(f"{value:.6g}")


class MethodParams(Strict):
    """Base of every method's `Params`: immutable, unknown names are errors, values are validated, NaN refused."""

    def space(self) -> dict[str, Dimension]:
        """What a search varies from these values on, by the dimension's name: fields that declare it, in their order.

        A class whose dimensions are not single fields (a schedule that several temperatures share) extends this, and
        `current_value` and `with_values` with it.

        Returns:
            Dimensions by name.
        """
        extras = {name: field.json_schema_extra for name, field in type(self).model_fields.items()}
        spaces = {name: extra.get("search") for name, extra in extras.items() if isinstance(extra, dict)}
        return {name: Dimension.model_validate(space) for name, space in spaces.items() if space is not None}

    @classmethod
    def cost_bearing(cls) -> tuple[str, ...]:
        """Name the fields whose values may change what a training step costs.

        Returns:
            Names, in the order of the fields.
        """
        bearing = []
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            declared = extra.get("cost") if isinstance(extra, dict) else None
            if declared or (declared is None and field.annotation is not float):
                bearing.append(name)
        return tuple(bearing)

    def current_value(self, name: str) -> Any:  # noqa: ANN401 - whatever the dimension's values are
        """Read the value that these parameters have on a dimension.

        Args:
            name: A dimension of `space`.

        Returns:
            The value, as JSON holds it. None where they have no single one.
        """
        return self.model_dump(mode="json").get(name)

    def with_values(self, point: Point) -> dict[str, Any]:
        """Give these parameters the values of a point of the space.

        Args:
            point: Values by dimension; what it does not name stays.

        Returns:
            Fields by name, to be validated.
        """
        return {**self.model_dump(mode="json"), **point}


def hyper(
    default: Any,  # noqa: ANN401 - the field's own annotation types it
    doc: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    search: Sequence[Any] | None = None,
    scale: Literal["linear", "log", "choice"] = "linear",
    cost: bool | None = None,
) -> Any:  # noqa: ANN401 - a pydantic field stands where its value will
    """Declare one hyper-parameter of a `MethodParams` class.

    Args:
        default: The value where a suite gives none.
        doc: What it is, in a line; `harness list --method NAME` shows it.
        ge: Smallest value that is allowed; a suite below it is refused.
        le: Largest value that is allowed.
        gt: Bound that every value must be above.
        search: What a search may try: (low, high) for the scales linear and log, the values themselves for choice. None
            keeps the parameter out of searches.
        scale: How a search moves between them.
        cost: Whether its value changes what a training step costs. Under a budget of reference steps each of its values
            is measured on its own. None: yes, unless it is a float, as weights, thresholds and decays are.

    Returns:
        A pydantic field, to stand where the parameter's default stands.

    Example:
        `ema_decay: float = hyper(0.99, "limit of the decay", ge=0, le=1, search=(0.9, 0.99), scale="choice")`
    """
    space: JsonDict | None = None if search is None else {"scale": scale, "values": list(search)}
    return Field(default, description=doc, ge=ge, le=le, gt=gt, json_schema_extra={"search": space, "cost": cost})
