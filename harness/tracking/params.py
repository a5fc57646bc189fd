"""A run's settings as columns: flat names, so that tables, filters and parallel coordinates can use each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.records.schema import Run

SHOWN_VALUES = 6
"""Of a setting in which the runs below a parent run differ; more are counted."""


def run_params(asked: Run) -> dict[str, str]:
    """All that was asked. Hyper-parameters stand under their own names, `params.NAME` where a run has such a field."""
    values = asked.model_dump(mode="json", exclude={"schema_version", "budget", "params"})
    values["budget"] = {"currency": asked.budget.currency, "amount": asked.budget.amount}
    values["labelled"] = "all" if asked.labelled is None else asked.labelled
    own = {f"params.{name}" if name in values else name: value for name, value in asked.params.items()}
    return dict(_flatten({**values, **own}))


def hyper_params(asked: Run) -> dict[str, str]:
    """The hyper-parameters among `run_params`, and the optimiser's settings, which a search may vary too."""
    fields = set(Run.model_fields) - {"params"}
    return {
        name: value
        for name, value in run_params(asked).items()
        if name.startswith("engine.optimiser.") or name.partition(".")[0] not in fields
    }


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - anything JSON can hold
    """Nested dictionaries as dotted names; text as it is, all else as JSON.

    One of several families (`student_temperature: {family: cosine, low: 0.1, ...}`) also stands as a whole, for no
    other column is shared by all families.
    """
    if isinstance(value, dict) and value:
        if prefix and "family" in value:
            yield prefix, _short(value)
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else key)
    elif prefix:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _short(family: Mapping[str, Any]) -> str:
    """cosine 0.1 1 10: short, for MLflow cuts the labels of its axes after a few letters."""
    return " ".join([str(family["family"]), *(_number(value) for name, value in family.items() if name != "family")])


def _number(value: Any) -> str:  # noqa: ANN401
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def joined_params(runs: Sequence[Run]) -> dict[str, str]:
    """Settings that all runs have: the value that they share, or the different ones side by side."""
    rows = [run_params(asked) for asked in runs]
    shared = [name for name in rows[0] if all(name in row for row in rows)] if rows else []
    return {name: _joined(list(dict.fromkeys(row[name] for row in rows))) for name in shared}


def _joined(values: Sequence[str]) -> str:
    if len(values) > SHOWN_VALUES:
        return f"{len(values)} values"
    return ", ".join(sorted(values, key=lambda value: (len(value), value)))
