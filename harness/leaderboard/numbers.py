"""Numbers as the field prints them: Dice and Jaccard in percent with one decimal, distances with two."""

import math
from collections.abc import Callable

UNDEFINED = "n/a"


def _as(form: str, scale: float = 1.0) -> Callable[[float], str]:
    return lambda value: UNDEFINED if math.isnan(value) else f"{scale * value:{form}}"


percent = _as(".1f", 100.0)
"""0.8437 -> "84.4"."""

points = _as("+.1f", 100.0)
"""A difference of fractions in percentage points, signed: 0.034 -> "+3.4"."""

share = _as(".2f")
"""A probability with two decimals: 0.878 -> "0.88"."""

distance = _as(".2f")
"""12.345 -> "12.35", in the column's unit of measure."""

seconds = _as(",.1f")

count = _as(",.0f")


def probability(p: float) -> str:
    """The p of a test: "0.0027", and "<0.0001" below that."""
    if math.isnan(p):
        return UNDEFINED
    return "<0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.01 else f"{p:.2f}"


def bounds(low: str, high: str) -> str:
    """Bounds of an interval; empty where neither is defined."""
    return "" if low == high == UNDEFINED else f"[{low}, {high}]"
