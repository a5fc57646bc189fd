"""Search trials as points in the space that was searched, for a picture of validation Dice over any two dimensions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report.columns import Json, plain

LOG_RATIO = 8.0
"""A dimension whose largest value is this many times its smallest is drawn on a logarithmic axis."""


def surfaces(search: pd.DataFrame) -> list[Json]:
    """One per method that was searched: its dimensions, and its trials with a value in each of them.

    What was searched are the dimensions; parameters that are families with numbers of their own, such as schedules, are
    further ones in words ("cosine low 0.1 high 1") where they take few forms over the trials. Dimensions that always
    move together are one, under the name of the first.

    search: columns as in `harness.leaderboard.rows.SEARCH_COLUMNS`.
    """
    return [_surface(str(method), trials) for method, trials in search.groupby("entry", sort=False)]


def _surface(method: str, frame: pd.DataFrame) -> Json:
    trials: list[Json] = frame.to_dict("records")  # type: ignore[assignment]
    places = [_place(json.loads(trial["varied"]), json.loads(trial["params"])) for trial in trials]
    names = list(dict.fromkeys(name for place in places for name in place))
    dimensions = list(_distinct({name: [place.get(name) for place in places] for name in names}))
    return {
        "entry": method,
        "dimensions": dimensions,
        "axes": _axes(dimensions),
        "trials": [
            {
                **{name: plain(trial[name]) for name in ("study", "point", "score", "status", "chosen")},
                "seconds": plain(float(trial["useful_device_seconds"])),
            }
            for trial in trials
        ],
    }


def _place(varied: Mapping[str, Any], params: Mapping[str, Any]) -> Json:
    """A trial's values: of what was searched, and of the families that its parameters make of that."""
    families = {name: value for name, value in params.items() if isinstance(value, dict) and "family" in value}
    return {**dict(_flat(varied)), **{name: describe_family(value) for name, value in families.items()}}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names; the name of a family is left to its description."""
    for name, value in values.items():
        if isinstance(value, dict):
            numbers = {inner: number for inner, number in value.items() if inner != "family"}
            yield from _flat(numbers, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, int | float | str | bool) else json.dumps(value)


def describe_family(value: Mapping[str, Any]) -> str:
    """{family: half_cosine, start: 1.0, end: 0.1} -> "half cosine start 1 end 0.1"."""
    numbers = (
        f" {name} {number:g}" if isinstance(number, int | float) else f" {name} {number}"
        for name, number in value.items()
        if name != "family"
    )
    return str(value["family"]).replace("_", " ") + "".join(numbers)


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


def _axes(dimensions: Sequence[Json]) -> list[int]:
    """Which two dimensions are shown first, as x and y: none that another one implies, words upright."""
    by_worth = sorted(range(len(dimensions)), key=lambda i: _is_implied(dimensions[i], dimensions))
    return sorted(by_worth[:2], key=lambda i: dimensions[i]["kind"] == "choice")


def _is_implied(dimension: Json, dimensions: Sequence[Json]) -> bool:
    """Whether the words of another dimension tell the value: "cosine low 0.1 high 1" tells that low is 0.1."""
    wordy = [other["values"] for other in dimensions if other["kind"] == "choice" and other is not dimension]
    return any(len(set(zip(words, dimension["values"], strict=True))) == len(set(words)) for words in wordy)
