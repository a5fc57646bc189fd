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


@dataclass(frozen=True)
class HyperCard:
    """One hyper-parameter: default, bounds and search space as text. Empty where it has none."""

    name: str
    default: str
    bounds: str
    search: str
    doc: str


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


def hyper_cards(params: type[MethodParams]) -> list[HyperCard]:
    """The hyper-parameters of a method, in the order in which they are declared."""
    schema = params.model_json_schema()["properties"] if params.model_fields else {}
    space = params.space()
    own = [
        HyperCard(
            name=name,
            default=str(field.default),
            bounds=_bounds(field.metadata, schema[name]),
            search=str(space.get(name, "")),
            doc=field.description or "",
        )
        for name, field in params.model_fields.items()
    ]
    shared = [name for name in space if name not in params.model_fields]
    return own + [
        HyperCard(name, "", "", str(space[name]), "searched as one, sets several parameters") for name in shared
    ]


def _bounds(metadata: list[Any], schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    bounds = ((sign, getattr(item, name, None)) for item in metadata for name, sign in BOUNDS.items())
    return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
