"""The registered methods with their sizes and hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.api.dataset import Task
from harness.api.params import MethodParams
from harness.suite.registry import load_method, method_sources

STANDARD_TASK = Task("standard", 2, 1, ("background", "RV", "Myo", "LV"), (256, 256))
"""The task for which parameters are counted: one channel, four classes."""

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class MethodCard:
    """One method as `list` shows it. Parameters are counted on `STANDARD_TASK` with default hyper-parameters."""

    name: str
    version: int
    paper: str
    origin: str
    ranked: bool
    parameters_training: int
    parameters_predictor: int


def method_cards() -> list[MethodCard]:
    """Every registered method, in the order of names. Builds each once."""
    return [method_card(name) for name in sorted(method_sources())]


def method_card(name: str) -> MethodCard:
    """One method. Raises `UsageError` with the nearest name for a typo."""
    from harness.train.run import trainable_parameters

    kind = load_method(name)
    built = kind.build(STANDARD_TASK, kind.Params())
    return MethodCard(
        name=name,
        version=kind.version,
        paper=kind.paper,
        origin=method_sources()[name].origin,
        ranked=kind.ranked,
        parameters_training=trainable_parameters(built),
        parameters_predictor=sum(p.numel() for p in built.predictor.parameters()),
    )


def hyper_parameters(params: type[MethodParams]) -> list[tuple[str, str, str, str, str]]:
    """The hyper-parameters of a method as declared: name, default, bounds, search space and description as text."""
    schema = params.model_json_schema()["properties"] if params.model_fields else {}
    space = {name: str(dimension) for name, dimension in params.space().items()}
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
