"""Charts of a method's search: parallel coordinates from what was varied to the last validation Dice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.spec.records import Unit
from harness.track.params import hyper_params

RESULT = "validation_dice"
MAX_COLUMNS = 8
"""Of one chart."""

MAX_CHARTS = 4
MAX_CATEGORIES = 12
"""A text column with more values is left to the chart of its own numbers."""

Row = Mapping[str, str]


def search_charts(units: Iterable[Unit]) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The charts, and all columns that vary.

    MLflow leaves a run that lacks one of its columns out of a chart. So the first chart has the columns that all units
    share, and each group of units with further ones (a family's own numbers) has a chart besides.
    """
    rows = [hyper_params(unit) for unit in units]
    varied = varied_columns(rows)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(name for name in varied if name in row), []).append(row)
    shared = [name for name in varied if all(name in columns for columns in groups)]
    charts = [_chart("all", shared)]
    for columns, own in sorted(groups.items(), key=lambda item: -len(item[1])):
        further = varied_columns([{name: row[name] for name in columns} for row in own])
        if set(further) - set(shared) and len(own) > 1:
            charts.append(_chart(_family(own, further), further))
    found = tuple(chart for chart in charts if chart["selectedParams"])[:MAX_CHARTS]
    return found, tuple(dict.fromkeys(name for chart in found for name in chart["selectedParams"]))


def varied_columns(rows: Sequence[Row]) -> list[str]:
    """Columns with more than one value, each way of telling the rows apart once, text with too many values left out."""
    seen: set[tuple[int, ...]] = set()
    found = []
    for name in sorted({name for row in rows for name in row}, key=lambda name: (name.count("."), name)):
        values = [row.get(name) for row in rows]
        distinct = list(dict.fromkeys(values))
        pattern = tuple(distinct.index(value) for value in values)
        if len(distinct) < 2 or pattern in seen or (len(distinct) > MAX_CATEGORIES and not _numeric(distinct)):
            continue
        seen.add(pattern)
        found.append(name)
    return sorted(found)


def _numeric(values: Iterable[str | None]) -> bool:
    try:
        return all(float(value) == float(value) for value in values if value is not None)
    except ValueError:
        return False


def _family(rows: Sequence[Row], columns: Iterable[str]) -> str:
    """What the rows of a chart have in common: student_temperature cosine."""
    parents = dict.fromkeys(name.rpartition(".")[0] for name in columns if "." in name)
    named = {parent: {row.get(f"{parent}.family") for row in rows} for parent in parents}
    return ", ".join(f"{parent} {families.pop()}" for parent, families in named.items() if len(families) == 1) or "rest"


def _chart(title: str, columns: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "PARALLEL", "selectedParams": list(columns[:MAX_COLUMNS]), "selectedMetrics": [RESULT],
        "showAllRuns": True, "runsCountToCompare": 1000, "displayName": f"{title}: up to {RESULT}",
    }  # fmt: skip
