"""Lines on what a method declares: its class, its parameters, its networks, its stages."""

import inspect
import re
from functools import lru_cache

import torch
from pydantic import ValidationError

from harness.api.errors import UsageError
from harness.api.method import Method, Stage
from harness.api.networks import backbone
from harness.api.params import MethodParams, OptimiserSettings
from harness.api.staged import StagedParams
from harness.check.outcome import FaultError
from harness.check.places import place_of_text
from harness.check.rig import Rig
from harness.suite.contract import stage_problems

NAME = r"[a-z0-9][a-z0-9_]*"
BATCH_SIZES = (4, 5, 24)


def definition(rig: Rig) -> str:
    """It has a name, the two hooks that every method needs, and a class of parameters."""
    kind = rig.kind
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise FaultError(f"name = {name!r}; a method needs a name of small letters, digits and _")
    for hook in ("training_loss", "predictor"):
        if getattr(kind, hook) is getattr(Method, hook):
            raise FaultError(f"{hook} is not defined")
    if not isinstance(inspect.getattr_static(kind, "predictor"), property):
        raise FaultError("predictor is no property", rig.hook("predictor"))
    own: object = kind.Params
    if not (inspect.isclass(own) and issubclass(own, MethodParams)):
        raise FaultError(f"Params is {own!r}, not a class derived from MethodParams")
    return f"{kind.__name__}, version {kind.version}"


def params(rig: Rig) -> str:
    """Defaults lie within bounds and search space; what a search may try is valid, and the method builds with it."""
    kind = rig.kind
    own = _defaults(kind)
    for name, field in type(own).model_fields.items():
        if not field.description:
            raise FaultError(f"{name} has no description, which `harness list --method` shows", field_place(kind, name))
    if kind.Params.model_validate_json(own.model_dump_json()) != own:
        raise FaultError("parameters that were written to a record and read come back as others")
    tried = 0
    for name, dimension in own.space().items():
        if not dimension.holds(own.current_value(name)):
            why = f"default {own.current_value(name)} is not in its search space, {dimension}"
            raise FaultError(f"{name}: {why}", field_place(kind, name))
        if dimension.scale != "choice" and name in kind.Params.cost_bearing():
            why = "changes the cost of a step: a search needs a list of values (scale='choice'), or say cost=False"
            raise FaultError(f"{name} {why}", field_place(kind, name))
        for value in dimension.values:
            _build_with(rig, own, name, value)
            tried += 1
    return f"{len(type(own).model_fields)} parameters; built with {tried} values of the search space"


def _defaults(kind: type[Method]) -> MethodParams:
    try:
        return kind.Params()
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        raise FaultError(f"the default of {name} is refused: {first['msg']}", field_place(kind, name)) from None


def _build_with(rig: Rig, own: MethodParams, name: str, value: object) -> None:
    place = field_place(rig.kind, name)
    try:
        rig.build(rig.kind.Params.model_validate(own.with_values({name: value})))
    except ValidationError as error:
        raise FaultError(f"{name} = {value!r}, which a search may try: {error.errors()[0]['msg']}", place) from None
    except Exception as error:
        why = f"cannot be built with {name} = {value!r}: {type(error).__name__}: {error}"
        raise FaultError(why, place) from error


def field_place(kind: type[Method], name: str) -> str:
    return place_of_text(kind.Params, rf"\s+{re.escape(name.removeprefix('ratio_'))}\b\s*[:=]")


@lru_cache
def refusal(rig: Rig) -> str | None:
    """Why a method says that it does not serve a kind of task; None where it builds."""
    try:
        rig.build()
    except UsageError as error:
        return str(error)
    return None


def builds(rig: Rig) -> str:
    """It builds on the host, and a common backbone starts from the weights that all methods start from."""
    if (why := refusal(rig)) is not None:
        raise FaultError(f"serves neither slices nor patches: {why}", rig.hook("__init__"))
    method = rig.build()
    tensors = [*method.named_parameters(), *method.named_buffers()]
    elsewhere = [name for name, value in tensors if not value.is_cpu]
    if elsewhere:
        raise FaultError(f"{elsewhere[0]} is not on the CPU, from where the engine moves it", rig.hook("__init__"))
    torch.manual_seed(0)
    common, tested = backbone(rig.task).state_dict(), method.predictor.state_dict()
    if {n: v.shape for n, v in common.items()} != {n: v.shape for n, v in tested.items()}:
        return "the tested network is its own, not the common backbone"
    if not all(torch.equal(value, tested[name]) for name, value in common.items()):
        why = "draws random numbers before backbone(task): its network starts otherwise than those it is compared with"
        raise FaultError(why, rig.hook("__init__"))
    return "the common backbone, from the common weights"


def stages(rig: Rig) -> str:
    """Shares add up to 1 and stay; each stage asks for the images of a batch and trains parameters of the method."""
    method = rig.build()
    own = tuple(method.stages)
    _refuse_uneven(method, BATCH_SIZES[0], rig)
    if len(own) > 1 and not issubclass(rig.kind.Params, StagedParams):
        raise FaultError("has several stages, so its Params must be StagedParams", rig.hook("stages"))
    if isinstance(defaults := rig.kind.Params(), StagedParams):
        for name, dimension in defaults.space().items():
            for value in dimension.values if name.startswith("ratio_") else ():
                values = rig.kind.Params.model_validate(defaults.with_values({name: value}))
                _refuse_uneven(rig.build(values), BATCH_SIZES[0], rig)
    for stage in own:
        method.train()
        method.start_stage(stage)
        for size in BATCH_SIZES:
            plan = method.batches(stage, size)
            _refuse_uneven(method, size, rig)
            if plan.labelled + plan.unlabelled != size:
                why = f"asks for {plan.labelled} + {plan.unlabelled} images a step where the suite gives {size} to all"
                raise FaultError(f"{why} methods", rig.hook("batches"))
        _refuse_optimiser(method, stage, rig)
    if tuple(method.stages) != own:
        raise FaultError("the stages are others once they have been started", rig.hook("stages"))
    return ", ".join(f"{stage.name} {stage.share:.3g}" for stage in own)


def _refuse_uneven(method: Method, size: int, rig: Rig) -> None:
    for problem in stage_problems(method, size):
        raise FaultError(problem, rig.hook(problem.split()[0]))


def _refuse_optimiser(method: Method, stage: Stage, rig: Rig) -> None:
    trained = [p for group in method.optimiser(stage, OptimiserSettings()).param_groups for p in group["params"]]
    own = {id(p) for p in method.parameters()}
    if not trained or any(id(p) not in own for p in trained):
        why = "no parameter" if not trained else "parameters that are not the method's"
        hook = "optimiser" if "optimiser" in vars(rig.kind) else "parameter_groups"
        raise FaultError(f"the optimiser of stage {stage.name} is given {why}", rig.hook(hook))
