"""Lines on networks and losses: what is predicted, what is learnt, what becomes of the images."""

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from harness.audit.engine import image_problems
from harness.check.contract import refusal
from harness.check.outcome import FaultError
from harness.check.rig import STEPS, Rig, Step, steps
from harness.evaluation.predict import inference
from harness.suite.contract import answer_problem, declared_problems

OTHER_CLASSES = ("background", "a", "b")


def predictor(rig: Rig) -> str:
    """Logits of the task's shape from predictor and pseudo-label network, in training and in evaluation mode."""
    method = rig.build()
    for name in ("predictor", "pseudo_label_network"):
        network = getattr(method, name)
        if not isinstance(network, nn.Module):
            raise FaultError(f"{name} is a {type(network).__name__}, not a network", rig.hook(name))
        own = {id(p) for p in method.parameters()}
        if any(id(p) not in own for p in network.parameters()):
            raise FaultError(f"{name} has parameters that are not the method's", rig.hook(name))
        _refuse_logits(network, rig.images, rig, name)
    _refuse_chance(method.predictor, rig)
    copy.deepcopy(method.predictor)
    other = replace(rig.task, channels=2, classes=OTHER_CLASSES)
    wide = replace(rig, task=other)
    if refusal(wide) is not None:
        return f"logits of {rig.task.n_classes} classes"
    _refuse_logits(wide.build().predictor, rig.images.expand(-1, 2, *rig.images.shape[2:]), wide, "predictor")
    return f"logits of {rig.task.n_classes} classes, of {len(OTHER_CLASSES)} from 2 channels"


def _refuse_logits(network: nn.Module, images: Tensor, rig: Rig, name: str) -> None:
    for mode in ("training", "evaluation"):
        network.train(mode == "training")
        for given in (images, images[:1]) if mode == "evaluation" else (images,):
            with torch.no_grad():
                logits = network(given)
            what = f"{name} in {mode} mode"
            if problem := answer_problem(logits, given, rig.task.n_classes):
                raise FaultError(f"{what} {problem}", rig.hook(name))
            if not logits.is_floating_point() or not logits.isfinite().all():
                raise FaultError(f"{what} gives {logits.dtype} with values that are not finite", rig.hook(name))
    network.train()


def _refuse_chance(network: nn.Module, rig: Rig) -> None:
    with inference(network, rig.images.device):
        if not torch.equal(network(rig.images), network(rig.images)):
            raise FaultError("predictor in evaluation mode answers twice in two ways", rig.hook("predictor"))


def loss(rig: Rig) -> str:
    """Losses are finite scalars on the device; all that a stage trains gets finite gradients; the predictor learns."""
    state = rig.state()
    before = {name: value.clone() for name, value in state.method.predictor.state_dict().items()}
    pending: dict[int, tuple[str, str]] = {}
    terms: dict[str, None] = {}
    names = {id(p): name for name, p in state.method.named_parameters()}
    for step in steps(state):
        _refuse_loss(step, rig)
        terms |= dict.fromkeys(step.loss.terms)
        if state.meter.stage_steps[state.meter.stage] == 1:
            pending |= {id(p): (step.stage.name, names[id(p)]) for p in _trained(state.optimiser)}
        for parameter in _trained(state.optimiser):
            if parameter.grad is None:
                continue
            if not parameter.grad.isfinite().all():
                raise FaultError(
                    f"{names[id(parameter)]} gets a gradient that is not finite", rig.hook("training_loss")
                )
            pending.pop(id(parameter), None)
    if pending:
        stage, name = next(iter(pending.values()))
        why = f"{name} and {len(pending) - 1} more" if len(pending) > 1 else name
        raise FaultError(f"stage {stage} trains {why}, which no loss gives a gradient", rig.hook("training_loss"))
    after = state.method.predictor.state_dict()
    if all(torch.equal(after[name], value) for name, value in before.items()):
        raise FaultError("the predictor's weights are after training what they were before", rig.hook("predictor"))
    return f"{state.meter.steps} steps; terms {', '.join(terms) or 'none'}"


def _trained(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _refuse_loss(step: Step, rig: Rig) -> None:
    place = rig.hook("training_loss")
    values: dict[str, object] = {"the total": step.loss.total, **step.loss.terms}
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.shape != ():
            kind = f"of shape {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise FaultError(f"{name} of the loss is {kind}, not a scalar on the device", place)
        if not value.isfinite():
            raise FaultError(f"{name} of the loss is {float(value.detach())} in step {step.progress.step}", place)


def augmentation(rig: Rig) -> str:
    """What is declared is what the engine sees arrive at the tested network, image by image, as the audit does."""
    state = rig.state(count=2 * STEPS)  # so that the audit's rule has images enough
    declared = state.method.augmentation
    for untrue in declared_problems(state.method):
        raise FaultError(untrue, rig.hook(untrue.split()[0]))
    running = steps(state, lambda batch: state.monitor.step())
    while True:
        state.monitor.request_image_check(state.method.predictor, state.sampler.data.example)
        if next(running, None) is None:
            break
        state.monitor.compare()
    observed = state.monitor.record(state.sampler.augmentation, declared)
    if problem := next(image_problems(observed), None):
        raise FaultError(problem, rig.hook("augmentation"))
    images = ", ".join(f"{count} {name}" for name, count in observed.images.items() if count)
    return f"declares {' and '.join(declared) or 'nothing'}; saw {images or 'no image'}"
