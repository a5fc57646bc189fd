"""What a search may try for one hyper-parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from harness.api.strict import Strict

Point = Mapping[str, Any]
"""Values by dimension; a dimension that is not in it keeps the method's default."""


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
        """Whether a search could come to this value."""
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
