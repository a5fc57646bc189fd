"""Frames as JSON: columns of plain values."""

import math
from typing import Any

import pandas as pd

Json = dict[str, Any]

DIGITS = 9
"""Significant digits of a fraction: fewer than all, and so many that the page rounds as the tables do: of 4,200 numbers
of `acdc_bench` 8 had another last digit with 6."""


def columns(frame: pd.DataFrame) -> Json:
    """Every column, values as `plain` gives them; a column of words as {"of": distinct, "at": indices}."""
    return {name: _packed([plain(value) for value in frame[name].tolist()]) for name in frame.columns}


def plain(value: Any) -> Any:  # noqa: ANN401 - any cell
    """A cell as JSON holds it: None for what is missing or no number, fractions to `DIGITS`."""
    if value is None or value is pd.NA:
        return None
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.{DIGITS}g}")


def _packed(values: list[Any]) -> list[Any] | Json:
    """Words repeat from row to row: each is written once."""
    if not any(isinstance(value, str) for value in values):
        return values
    distinct = list(dict.fromkeys(values))
    index = {value: i for i, value in enumerate(distinct)}
    return {"of": distinct, "at": [index[value] for value in values]}
