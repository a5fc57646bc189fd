"""Whether a method keeps its contract, as far as that can be seen before it trains: its declarations and its shapes.

It takes about as long as building the networks: one image is shown to each of them.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from harness.api.dataset import Task
from harness.api.errors import HarnessError, UsageError
from harness.api.params import Alteration, MethodParams
from harness.suite.blame import blame, packages_of
from harness.suite.costs import task_of
from harness.suite.plan import Plan
from harness.suite.registry import load_dataset

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.api.method import Method

T = TypeVar("T")
NETWORKS = ("predictor", "pseudo_label_network")


def refuse_broken_methods(plan: Plan) -> None:
    """Build every method of a plan as it would train; raise `UsageError` at the line of one that breaks its contract.

    Here nothing is trained and no budget is spent yet.
    """
    suite = plan.loaded.suite
    task = task_of(load_dataset(suite.dataset), suite.preprocessing.size)
    for name, entry in plan.entries.items():
        try:
            build_whole(entry.method, entry.params, task, entry.engine.batch_size)
        except UsageError as error:
            raise plan.loaded.error(("methods", name), str(error)) from None


def build_whole(kind: type[Method], params: MethodParams, task: Task, batch_size: int) -> Method:
    """Build a method that keeps its contract, on the CPU; torch's generators stay as they are.

    batch_size: images of a step. Raises `UsageError` where it cannot be built, or breaks its contract.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        method = called(f"{kind.__name__}.__init__", kind, lambda: kind.build(task, params))
    refuse_broken(method, task, batch_size)
    return method


def refuse_broken(method: Method, task: Task, batch_size: int) -> None:
    """Raise `UsageError` for a method that declares what cannot be, or whose networks answer in wrong shapes.

    method: before its first stage, on any device; it stays as it is.
    """
    for problems in (declared_problems(method), stage_problems(method, batch_size), _network_problems(method, task)):
        for problem in problems:
            raise UsageError(f"{type(method).__name__}.{problem}")


def declared_problems(method: Method) -> Iterator[str]:
    """What is wrong with labels and augmentation, as a sentence without its beginning, the method's name."""
    if method.labels not in ("subset", "all"):
        yield f"labels is {method.labels!r}; it is 'subset' or 'all'"
    known = get_args(Alteration)
    if unknown := [repr(each) for each in _value(method, "augmentation") if each not in known]:
        yield f"augmentation declares {', '.join(unknown)}; there are: {', '.join(map(repr, known))}"


def stage_problems(method: Method, batch_size: int) -> Iterator[str]:
    """What is wrong with stages and their batches, likewise: it begins with the hook."""
    from harness.api.method import BatchPlan, Stage

    stages: list[Stage] = list(_value(method, "stages"))
    if not stages or any(type(stage) is not Stage for stage in stages):
        yield f"stages gives {stages!r}; give at least one Stage"
        return
    if len({stage.name for stage in stages}) < len(stages):
        yield f"stages names two alike: {', '.join(stage.name for stage in stages)}"
    shares = [stage.share for stage in stages]
    if min(shares) <= 0 or abs(math.fsum(shares) - 1.0) > 1e-9:
        yield f"stages has shares of {', '.join(f'{each:g}' for each in shares)}; each is above 0, and they add up to 1"
    for stage in stages:
        plan: object = called(
            f"{type(method).__name__}.batches", type(method), partial(method.batches, stage, batch_size)
        )
        if not isinstance(plan, BatchPlan):
            yield f"batches gives {type(plan).__name__} for stage {stage.name!r}, no BatchPlan"
        elif min(plan.labelled, plan.unlabelled) < 0 or plan.labelled + plan.unlabelled < 1 or plan.views < 1:
            yield f"batches gives {plan} for stage {stage.name!r}: no images, or no view of them"


def _network_problems(method: Method, task: Task) -> Iterator[str]:
    import torch
    from torch import nn

    images = torch.zeros(1, task.channels, *task.size)
    for name in NETWORKS:
        network = _value(method, name)
        if not isinstance(network, nn.Module):
            yield f"{name} is {type(network).__name__}, no network"
        else:
            answer = called(f"{type(method).__name__}.{name}", type(method), partial(_answer, network, images))
            if problem := answer_problem(answer, images, task.n_classes):
                yield f"{name} {problem}"


def _value(method: Method, name: str) -> Any:  # noqa: ANN401 - whatever the author's property gives
    """A property's value. Read through the instance, an `AttributeError` inside it would name the property instead."""
    member = inspect.getattr_static(type(method), name)
    read = partial(getattr, method, name)
    if isinstance(member, property) and member.fget is not None:
        read = partial(member.fget, method)
    return called(f"{type(method).__name__}.{name}", type(method), read)


def called(what: str, kind: type, action: Callable[[], T]) -> T:
    """Call what an author wrote. Raises `UsageError` that says what was called, and which line raised what."""
    try:
        return action()
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{what} raises {blame(error, packages_of(kind))}") from error


def _answer(network: nn.Module, images: Tensor) -> object:
    """What a copy of a network answers in evaluation mode; to a volume without values, where its operations allow that.

    So a V-Net takes 0.1 s; with values, a second.
    """
    import torch

    whole = copy.deepcopy(network).eval()
    device = next((parameter.device for parameter in whole.parameters()), images.device)
    with torch.no_grad():
        if images.ndim == 5:
            with suppress(Exception):  # an operation that needs values; what is wrong the true answer shows too
                return copy.deepcopy(whole).to("meta")(images.to("meta"))
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            return whole(images.to(device))


def answer_problem(answer: object, images: Tensor, n_classes: int | None = None) -> str:
    """What is wrong with a network's answer to images [N, C, *size], as the end of a sentence; empty where nothing is.

    n_classes: number of classes with background. None: any.
    """
    from torch import Tensor

    if not isinstance(answer, Tensor):
        return f"answers with a {type(answer).__name__}, not with logits"
    classes = n_classes or (answer.shape[1] if answer.ndim > 1 else 1)
    expected = [len(images), classes, *images.shape[2:]]
    if list(answer.shape) == expected:
        return ""
    return f"answers {list(answer.shape)} to images {list(images.shape)}; logits are {expected}"
