"""Charts of an entry's search: parallel coordinates from what was varied to the last validation Dice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.records.schema import Run
from harness.tracking.params import hyper_params

RESULT = "validation_dice"
MAX_COLUMNS = 8
"""Of one chart."""

MAX_CHARTS = 6
MAX_CATEGORIES = 12
"""A column of text with more values is left to the columns of its numbers."""

Row = Mapping[str, str]


def search_charts(trials: Iterable[Run]) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The charts, and all columns in them.

    MLflow leaves a run that lacks one of its columns out of a chart. So the first chart has the columns that all trials
    share, and each family (cosine, constant, ...) of a setting has a chart of its own with that family's numbers.
    """
    rows = [hyper_params(asked) for asked in trials]
    shared = [name for name in varied_columns(rows) if all(name in row for row in rows)]
    charted = [shared]
    for parent, own in _families(rows):
        numbers = [name for name in varied_columns(own) if name.startswith(f"{parent}.")]
        if numbers:
            charted.append([*numbers, *(name for name in varied_columns(own) if name in shared and name != parent)])
    charts = tuple(_chart(columns) for columns in charted[:MAX_CHARTS] if columns)
    return charts, tuple(dict.fromkeys(name for chart in charts for name in chart["selectedParams"]))


def varied_columns(rows: Sequence[Row]) -> list[str]:
    """Columns with more than one value, equal ones once, text with too many values left out."""
    columns = {name: tuple(row.get(name) for row in rows) for name in sorted({name for row in rows for name in row})}
    once = {values: name for name, values in reversed(columns.items())}
    return sorted(name for values, name in once.items() if len(set(values)) > 1 and _drawable(values))


def _drawable(values: Iterable[str | None]) -> bool:
    different = set(values)
    return len(different) <= MAX_CATEGORIES or all(_is_number(value) for value in different if value is not None)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _families(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Settings of several families, with the rows of each family that has at least two; large ones first."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for name in (name for name in varied_columns(rows) if name.endswith(".family")):
        for row in rows:
            if name in row:
                groups.setdefault((name.removesuffix(".family"), row[name]), []).append(row)
    for (parent, _), own in sorted(groups.items(), key=lambda item: -len(item[1])):
        if len(own) > 1:
            yield parent, own


def _chart(columns: Sequence[str]) -> dict[str, Any]:
    chosen = list(columns[:MAX_COLUMNS])
    return {"type": "PARALLEL", "selectedParams": chosen, "selectedMetrics": [RESULT], "showAllRuns": True}
