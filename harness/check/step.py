"""Lines on a training step: what it reads, writes, costs, and leaves to the engine."""

import copy
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args, get_origin

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.api.method import Batch, Method, Stage
from harness.api.params import MethodParams, OptimiserSettings
from harness.api.progress import Progress
from harness.audit.budget import OTHER_THREADS_SECONDS, OTHER_THREADS_SHARE
from harness.check.contract import field_place
from harness.check.outcome import FaultError, NotApplicableError
from harness.check.places import place_of_error
from harness.check.rig import BATCH_SIZE, Rig, steps, training_images
from harness.check.watching import ReadWatch, WorkCounter, WriteWatch
from harness.evaluation.predict import inference
from harness.records.calibration import PRECISION
from harness.train.build import start_stage
from harness.train.graph import tensors_of

NO_KERNEL = "with arguments from the 'Meta' backend"
"""What torch says of an operation that has no shapes-only form: nothing is known of it then."""
MIDDLE = Progress(run=0.5, stage=0.5, step=2)
POINTS = 20
"""Of a stage's progress, at which `on_progress` is watched."""


def host_copies(rig: Rig) -> str:
    """No operation of a step waits for a value of the device, and none needs a tensor of the host."""
    state, watch = rig.state(), ReadWatch(rig.roots)
    taken = sum(1 for _ in steps(state, lambda _batch: watch))  # first: whatever else is wrong raises here
    for method, stage in _started_stages(rig.build()):
        try:
            _meta_step(method, stage)
        except (RuntimeError, NotImplementedError) as error:
            if NO_KERNEL not in str(error):
                hook, place = place_of_error(error, rig.roots)
                raise FaultError(f"{hook or 'a step'} {_what_waits(str(error))}", place) from error
    if watch.seen:
        operation, place = watch.seen[0]
        why = f"a step reads a value of the device ({operation})"
        raise FaultError(why, place or rig.hook("training_loss"))
    return f"{taken} steps, none waits for a value"


def _what_waits(message: str) -> str:
    """What torch's message about tensors without values means to an author."""
    text = " ".join(message.partition("\n")[0].split())
    if "cpu" in text and "device" in text:
        return f"makes a tensor on the host; give it the device of the batch ({text})"
    return f"waits for a value of the device ({text})"


def _started_stages(method: Method) -> Iterator[tuple[Method, Stage]]:
    """A copy of a method for each of its stages, that stage started."""
    for stage in method.stages:
        method.train()
        method.start_stage(stage)
        yield copy.deepcopy(method), stage


def _meta_step(method: Method, stage: Stage) -> None:
    """A step on tensors that have no values: whatever would copy one to the host raises."""
    method.to("meta")
    plan = method.batches(stage, BATCH_SIZE)
    sampler = training_images(method.task.dimension).sampler(0, "weak")
    images, labels, *views = (tensor.to("meta") for tensor in tensors_of(sampler.next(plan)))
    progress = MIDDLE.with_schedules(method.schedules(stage, MIDDLE))
    optimiser = method.optimiser(stage, OptimiserSettings())
    loss = method.training_loss(Batch(images, labels, tuple(views)), stage, progress)
    loss.total.backward()
    optimiser.step()
    method.after_step(stage, progress)
    if any(value.device.type != "meta" for value in (loss.total, *loss.terms.values())):
        raise RuntimeError("the loss is on device cpu")


def batch(rig: Rig) -> str:
    """Images and labels of a batch are after a step what they were before."""
    given: list[tuple[Tensor, ...]] = []
    watches: list[WriteWatch] = []

    @contextmanager
    def watched(own: Batch) -> Iterator[None]:
        given.append(tuple(tensor.clone() for tensor in tensors_of(own)))
        watches.append(WriteWatch(own, rig.roots))
        with watches[-1]:
            yield

    for step in steps(rig.state(), watched):
        if seen := watches[-1].seen:
            place = seen[0].place or rig.hook("training_loss")
            raise FaultError(f"a step writes into its batch ({seen[0].operation})", place)
        if not all(map(torch.equal, given[-1], tensors_of(step.batch))):
            raise FaultError("a step changes its batch", rig.hook("training_loss"))
    return f"{len(given)} batches unchanged"


def budget(rig: Rig) -> str:
    """A step trains once, by the engine's optimiser, on one thread; nothing trains outside the clock."""
    state = rig.state()
    others = 0.0

    @contextmanager
    def left_alone(_batch: Batch) -> Iterator[None]:
        nonlocal others
        began = time.process_time() - time.thread_time()
        with _refuse_own_updates(state.method, rig):
            yield
        others += time.process_time() - time.thread_time() - began

    began = time.thread_time()
    taken = sum(1 for _ in steps(state, left_alone))
    own = time.thread_time() - began
    if others > OTHER_THREADS_SHARE * own + OTHER_THREADS_SECONDS:
        why = f"other threads computed for {others:.2f} s while {taken} steps took {own:.2f} s of their own"
        raise FaultError(why, rig.hook("training_loss"))
    for hook in ("predictor", "pseudo_label_network", "diagnostics", "arrays"):
        with state.monitor.validation(state.method):
            _call(state.method, hook, rig.images)
        if state.monitor.record("weak", ()).validations_that_trained:
            raise FaultError(f"{hook} changes parameters or buffers outside the clock", rig.hook(hook))
    return f"{taken} steps, each with one update; validations change nothing"


@contextmanager
def _refuse_own_updates(method: Method, rig: Rig) -> Iterator[None]:
    """Within, a loss that changes a parameter that has a gradient is refused before the optimiser's turn."""
    before = {name: p.detach().clone() for name, p in method.named_parameters() if p.requires_grad}
    original = method.training_loss

    def watched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        result = original(*args, **kwargs)
        changed = [name for name, p in method.named_parameters() if name in before and not torch.equal(p, before[name])]
        if changed:
            raise FaultError(f"training_loss updates {changed[0]} itself", rig.hook("training_loss"))
        return result

    method.training_loss = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        del method.training_loss


def _call(method: Method, hook: str, images: Tensor) -> None:
    if hook in ("diagnostics", "arrays"):
        getattr(method, hook)()
        return
    network: nn.Module = getattr(method, hook)
    with inference(network, images.device):
        network(images)


Work = tuple[float, float]
"""Floating point operations of convolutions and products, and numbers that all operations make."""


def cost(rig: Rig) -> str:
    """A parameter that changes what a step computes is declared cost-bearing, and work at points of progress as events.

    Counted, not timed: at the ends of what a search or the bounds allow, parameters that claim to be free change a step
    by no more than a calibration would notice.
    """
    own = rig.kind.Params()
    try:
        usual = _work(rig, own)
    except (RuntimeError, NotImplementedError):
        raise NotApplicableError("a step is counted on tensors without values; see 'host copies'") from None
    free = [name for name in type(own).model_fields if name not in rig.kind.Params.cost_bearing()]
    others = {name: values for name in free if (values := [v for v in _others(own, name) if _with(own, {name: v})])}
    for end in (0, -1):
        point = {name: values[end] for name, values in others.items()}
        together = _with(own, point)
        if together is None or _changed(usual, _work(rig, together)):
            _refuse_dear(rig, own, usual, point)
    _refuse_undeclared_events(rig, usual)
    return f"{len(others)} parameters tried that claim to change nothing"


def _refuse_dear(rig: Rig, own: MethodParams, usual: Mapping[str, Work], point: Mapping[str, Any]) -> None:
    for name, value in point.items():
        other = _work(rig, rig.kind.Params.model_validate(own.with_values({name: value})))
        for stage in _changed(usual, other):
            change = other[stage][1] / usual[stage][1] - 1.0
            why = f"{name} = {value!r} changes the work of a step of {stage} by {change:+.0%}; declare cost=True"
            raise FaultError(why, field_place(rig.kind, name))


def _changed(usual: Mapping[str, Work], other: Mapping[str, Work]) -> list[str]:
    """Stages whose step is other work than usual."""
    pairs = {stage: zip(usual[stage], work, strict=True) for stage, work in other.items()}
    return [stage for stage, own in pairs.items() if any(abs(a - b) > PRECISION * max(a, b) for a, b in own)]


def _others(own: MethodParams, name: str) -> Iterator[Any]:
    """Other values of a field: the ends of its search, else its choices or other bounds, else twice as much."""
    field, value = type(own).model_fields[name], getattr(own, name)
    if (dimension := own.space().get(name)) is not None:
        yield from dimension.values
    elif isinstance(value, bool):
        yield not value
    elif get_origin(field.annotation) is Literal:
        yield from get_args(field.annotation)
    elif isinstance(value, int | float):
        bounds = [getattr(each, side) for each in field.metadata for side in ("ge", "le") if hasattr(each, side)]
        yield from [bound for bound in bounds if bound != value] or (value * 2 or 1,)


def _with(own: MethodParams, point: Mapping[str, Any]) -> MethodParams | None:
    """Parameters with the values of a point; None where they are refused."""
    try:
        return type(own).model_validate(own.with_values(point))
    except ValidationError:
        return None


def _work(rig: Rig, params: MethodParams) -> dict[str, Work]:
    """Of a step of each stage, on tensors without values."""
    training_images(rig.task.dimension)  # made once, which is no work of a step
    work = {}
    for method, stage in _started_stages(rig.build(params)):
        flops, counter = FlopCounterMode(display=False), WorkCounter()
        with flops, counter:
            _meta_step(method, stage)
        work[stage.name] = float(flops.get_total_flops()), float(counter.numbers)
    return work


def _refuse_undeclared_events(rig: Rig, usual: Mapping[str, Work]) -> None:
    """Walk through each stage's progress, and weigh what `on_progress` does at each point against a step."""
    state = rig.state()
    while True:
        start_stage(state)
        stage = state.stage
        most = 0.0
        for point in range(POINTS + 1):
            with WorkCounter() as counter:
                state.method.on_progress(stage, Progress(point / POINTS, point / POINTS, point))
            most = max(most, counter.numbers / usual[stage.name][1])
        if most > PRECISION and not state.method.events(stage):
            why = f"does {most:.0%} of a step's work at a point of stage {stage.name}, and events(stage) is 0"
            raise FaultError(f"on_progress {why}", rig.hook("on_progress"))
        if not state.meter.next_stage():
            return
