"""Numbers as the field prints them: Dice and Jaccard in percent with one decimal, distances with two."""

from __future__ import annotations

import math

UNDEFINED = "n/a"


def percent(fraction: float) -> str:
    """0.8437 -> "84.4"."""
    return UNDEFINED if math.isnan(fraction) else f"{100.0 * fraction:.1f}"


def points(fraction: float) -> str:
    """A difference of fractions in percentage points, signed: 0.034 -> "+3.4"."""
    return UNDEFINED if math.isnan(fraction) else f"{100.0 * fraction:+.1f}"


def share(fraction: float) -> str:
    """A probability with two decimals: 0.878 -> "0.88"."""
    return UNDEFINED if math.isnan(fraction) else f"{fraction:.2f}"


def probability(p: float) -> str:
    """The p of a test: "0.0027", and "<0.0001" below that."""
    if math.isnan(p):
        return UNDEFINED
    return "<0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.01 else f"{p:.2f}"


def distance(value: float) -> str:
    """12.345 -> "12.35", in the column's unit of measure."""
    return UNDEFINED if math.isnan(value) else f"{value:.2f}"


def seconds(value: float) -> str:
    """299.71 -> "299.7"."""
    return UNDEFINED if math.isnan(value) else f"{value:,.1f}"


def count(value: float) -> str:
    """1813764.0 -> "1,813,764"."""
    return UNDEFINED if math.isnan(value) else f"{value:,.0f}"


def bounds(low: str, high: str) -> str:
    """Bounds of an interval; empty where neither is defined."""
    return "" if low == high == UNDEFINED else f"[{low}, {high}]"
