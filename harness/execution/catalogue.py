"""The registered methods with their sizes, hyper-parameters, stages and hooks."""

from __future__ import annotations

from inspect import getattr_static
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.api.dataset import Task
from harness.api.errors import UsageError
from harness.api.params import MethodParams
from harness.records.schema import Engine
from harness.suite.contract import build_whole
from harness.suite.registry import load_method, load_methods, method_sources

if TYPE_CHECKING:
    from harness.api.method import Method

CLASSES = ("background", "RV", "Myo", "LV")
STANDARD_TASKS = (Task("standard", 2, 1, CLASSES, (256, 256)), Task("standard", 3, 1, CLASSES, (112, 112, 80)))
"""Tasks for which parameters are counted, the second for methods that the first is none for."""

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


METHOD_COLUMNS = ("method", "version", "shown", "training", "predictor", "file", "paper")
HOOK_COLUMNS = ("hook", "defined", "when", "values on", "networks", "charged")
HOOKS = (
    ("start_stage", "before a stage's first step", "either", "training", "yes"),
    ("schedules", "before each step", "host", "training", "yes"),
    ("training_loss", "each step", "device", "training", "yes"),
    ("after_step", "after each optimiser step", "device", "training", "yes"),
    ("on_progress", "after each step", "host", "training", "yes"),
    ("predictor", "validations, the test", "device", "evaluation", "no"),
    ("pseudo_label_network", "each third validation, the last", "device", "evaluation", "no"),
    ("diagnostics", "validations", "host", "training", "no"),
    ("arrays", "after the last step", "host", "training", "no"),
    ("figures", "after the last step", "host", "", "no"),
)
"""When each hook is called, where its values live (device: no host copies), the networks' mode, if it is charged."""


def method_lines() -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """Every method that works in `METHOD_COLUMNS`, and by name why the others do not."""
    kinds, broken = load_methods()
    lines = []
    for kind in kinds:
        try:
            lines.append(method_line(kind.name))
        except UsageError as error:
            broken[kind.name] = f"{method_sources()[kind.name].origin}: {error}"
    return lines, broken


def method_line(name: str) -> tuple[str, ...]:
    """One method in `METHOD_COLUMNS`, its parameters counted on the first of `STANDARD_TASKS` that it serves.

    Raises `UsageError` for a method that breaks its contract, and with the nearest name for a typo.
    """
    from harness.train.run import trainable_parameters

    kind = load_method(name)
    built = standard(kind)
    counts = trainable_parameters(built), sum(p.numel() for p in built.predictor.parameters())
    shown = "ranked" if kind.ranked else "reference"
    origin = method_sources()[name].origin
    return name, str(kind.version), shown, *(f"{count:,}" for count in counts), origin, kind.paper


def standard(kind: type[Method]) -> Method:
    """A method with its default hyper-parameters on the first of `STANDARD_TASKS` that it serves."""
    try:
        params = kind.Params()
    except ValidationError as error:
        names = ", ".join(str(item["loc"][0]) for item in error.errors() if item["loc"])
        raise UsageError(f"{kind.__name__}.Params has no valid default for {names}") from None
    flat, solid = STANDARD_TASKS
    try:
        return build_whole(kind, params, flat, Engine().batch_size)
    except UsageError as error:
        try:
            return build_whole(kind, params, solid, Engine().batch_size)
        except UsageError:
            raise error from None


def stage_lines(kind: type[Method]) -> list[tuple[str, ...]]:
    """A method's stages: name, share of the budget, factor on the learning rate, and the images of a step."""
    built, batch_size = standard(kind), Engine().batch_size
    plans = [(stage, built.batches(stage, batch_size)) for stage in built.stages]
    return [
        (stage.name, f"{stage.share:.4g}", f"{stage.rate:g}", *map(str, (plan.labelled, plan.unlabelled, plan.views)))
        for stage, plan in plans
    ]


def hook_lines(kind: type[Method]) -> list[tuple[str, ...]]:
    """The hooks in `HOOK_COLUMNS`, and which of them the method defines itself."""
    from harness.api.method import Method

    own = {name: getattr_static(kind, name) is not getattr_static(Method, name) for name, *_ in HOOKS}
    return [(name, "yes" if own[name] else "", *rest) for name, *rest in HOOKS]


def hyper_parameters(params: type[MethodParams]) -> list[tuple[str, str, str, str, str]]:
    """A method's hyper-parameters as text: name, default, bounds, search space and description."""
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
