"""Search trials as points in the space that was searched, for a picture of validation Dice over any two dimensions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report.columns import Json, plain

LOG_RATIO = 8.0
"""A dimension whose largest value is this many times its smallest is drawn on a logarithmic axis."""

PREFERRED = ("centers_per_class", "temperature")
"""What the first picture shows, as x and y, where it was searched."""


def surfaces(search: pd.DataFrame | None) -> list[Json]:
    """One per method that was searched: its dimensions, and its trials with a value in each of them.

    What was searched are the dimensions; schedules that take few forms over the trials are further ones, in words
    ("cosine 0.1 to 1, 1 period"). Dimensions that always move together are one, under the name of the first.
    """
    if search is None:
        return []
    return [_surface(str(method), own) for method, own in search.groupby("method", sort=False)]


def _surface(method: str, own: pd.DataFrame) -> Json:
    trials: list[Json] = own.to_dict("records")  # type: ignore[assignment]
    places = [_place(json.loads(trial["varied"]), json.loads(trial["params"])) for trial in trials]
    names = list(dict.fromkeys(name for place in places for name in place))
    dimensions = list(_distinct({name: [place.get(name) for place in places] for name in names}))
    return {
        "method": method,
        "dimensions": dimensions,
        "axes": _axes([one["name"] for one in dimensions]),
        "trials": [
            {
                **{name: plain(trial[name]) for name in ("study", "point", "score", "status", "chosen")},
                "seconds": plain(float(trial["useful_device_seconds"])),
            }
            for trial in trials
        ],
    }


def _place(varied: Mapping[str, Any], params: Mapping[str, Any]) -> Json:
    """Where a trial stands: on what was searched, and on the schedules that its parameters make of that."""
    schedules = {name: value for name, value in params.items() if isinstance(value, dict) and "family" in value}
    return {**dict(_flat(varied)), **{name: describe_schedule(value) for name, value in schedules.items()}}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names; a schedule also by its whole description, under its own name."""
    for name, value in values.items():
        if isinstance(value, dict):
            if "family" in value:
                yield f"{prefix}{name}", describe_schedule(value)
            numbers = {inner: one for inner, one in value.items() if inner != "family"}
            yield from _flat(numbers, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, int | float | str | bool) else json.dumps(value)


def describe_schedule(value: Mapping[str, Any]) -> str:
    """{family: cosine, low: 0.1, high: 1, periods: 1} -> "cosine 0.1 to 1, 1 period"."""
    family = str(value["family"]).replace("_", " ")
    ends = [f"{value[name]:g}" for name in ("low", "high", "start", "end", "tau") if name in value]
    text = f"{family} {' to '.join(ends)}".strip()
    periods = value.get("periods")
    if periods is not None:
        text += f", {periods:g} period{'' if periods == 1 else 's'}"
    return text + (f" {list(value['values'])}" if "values" in value else "")


def _distinct(columns: Mapping[str, Sequence[Any]]) -> Iterator[Json]:
    """Dimensions with at least two values, each pattern of equal and different values once.

    Words that are different in every trial say nothing that the numbers in them do not.
    """
    seen: dict[tuple[Any, ...], Json] = {}
    for name, values in columns.items():
        known = [value for value in values if value is not None]
        wordy = any(isinstance(value, str) for value in known)
        if len(set(known)) < 2 or (wordy and len(set(known)) == len(values)):
            continue
        pattern = tuple(values.index(value) for value in values) if wordy else tuple(values)
        if pattern in seen:
            seen[pattern]["with"].append(name)
            continue
        seen[pattern] = _dimension(name, values, known)
        yield seen[pattern]


def _dimension(name: str, values: Sequence[Any], known: Sequence[Any]) -> Json:
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    logarithmic = numeric and min(known) > 0 and max(known) / min(known) >= LOG_RATIO
    return {
        "name": name,
        "with": [],
        "kind": "log" if logarithmic else "number" if numeric else "choice",
        "values": [plain(value) if numeric or value is None else str(value) for value in values],
    }


def _axes(names: Sequence[str]) -> list[int]:
    """Which two dimensions are shown first: centres and a schedule where they were searched, else the first two."""
    wanted = [next((i for i, name in enumerate(names) if part in name), None) for part in PREFERRED]
    free = iter(i for i in range(len(names)) if i not in wanted)
    return [found for found in (next(free, None) if one is None else one for one in wanted) if found is not None]
