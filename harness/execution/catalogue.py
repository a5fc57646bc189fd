"""The registered methods with their sizes and hyper-parameters."""

from __future__ import annotations

from typing import Any

from harness.api.dataset import Task
from harness.api.params import MethodParams
from harness.suite.registry import load_method, method_sources

STANDARD_TASK = Task("standard", 2, 1, ("background", "RV", "Myo", "LV"), (256, 256))
"""The task for which parameters are counted: one channel, four classes."""

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


METHOD_COLUMNS = ("method", "version", "shown", "training", "predictor", "file", "paper")


def method_line(name: str) -> tuple[str, ...]:
    """One method in `METHOD_COLUMNS`, parameters counted on `STANDARD_TASK` with default hyper-parameters.

    Raises `UsageError` with the nearest name for a typo.
    """
    from harness.train.run import trainable_parameters

    kind = load_method(name)
    built = kind.build(STANDARD_TASK, kind.Params())
    counts = trainable_parameters(built), sum(p.numel() for p in built.predictor.parameters())
    shown = "ranked" if kind.ranked else "reference"
    origin = method_sources()[name].origin
    return name, str(kind.version), shown, *(f"{count:,}" for count in counts), origin, kind.paper


def hyper_parameters(params: type[MethodParams]) -> list[tuple[str, str, str, str, str]]:
    """The hyper-parameters of a method as declared: name, default, bounds, search space and description as text."""
    schema = params.model_json_schema()["properties"] if params.model_fields else {}
    space = {name: str(dimension) for name, dimension in params().space().items()}
    own = [
        (name, str(field.default), _bounds(field.metadata, schema[name]), space.pop(name, ""), field.description or "")
        for name, field in params.model_fields.items()
    ]
    return own + [(name, "", "", text, "searched as one, sets several parameters") for name, text in space.items()]


def _bounds(metadata: list[Any], schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    bounds = ((sign, getattr(item, name, None)) for item in metadata for name, sign in BOUNDS.items())
    return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
