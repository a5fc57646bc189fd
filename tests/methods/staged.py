"""Stages and steps of ACTION and ACTION++ at a size that a test can afford."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from tests.methods.tiny import TASK, batch_for, build, finish_step, step_loss

SMALL: Mapping[str, object] = {"queries": 8, "keys": 12, "dimension": 16, "bank": 6}
SMALL_PP: Mapping[str, object] = {**SMALL, "anchors": 8, "queue": 64}
KINDS: tuple[type[ACTION], ...] = (ACTION, ACTIONPP)


def small(kind: type[ACTION], **params: object) -> ACTION:
    """A method with few queries and short banks."""
    return of_seed(kind, 0, params)


def of_seed(kind: type[ACTION], seed: int, params: Mapping[str, object] | None = None, task: Task = TASK) -> ACTION:
    """The same with other initial weights, or for another task."""
    method = build(kind, seed, {**(SMALL_PP if issubclass(kind, ACTIONPP) else SMALL), **(params or {})}, task)
    assert isinstance(method, ACTION)
    return method


def action_pp(**params: object) -> ACTIONPP:
    """ACTION++ at that size."""
    method = small(ACTIONPP, **params)
    assert isinstance(method, ACTIONPP)
    return method


def stage_of(method: Method, name: str) -> Stage:
    """The stage of that name."""
    (stage,) = (one for one in method.stages if one.name == name)
    return stage


def enter(method: Method, name: str) -> tuple[Stage, torch.optim.Optimizer]:
    """Start a stage, and no other before it."""
    stage = stage_of(method, name)
    method.start_stage(stage)
    return stage, method.optimiser(stage, OptimiserSettings(learning_rate=0.02))


def assert_step_reads_no_value(method: Method, stage: Stage) -> None:
    """Tensors of the meta device have no values: whatever would copy one to the host raises."""
    method = method.to("meta")
    batch = batch_for(method)
    there = Batch(batch.images.to("meta"), batch.labels.to("meta"), tuple(u.to("meta") for u in batch.unlabelled))
    loss = step(method, stage, method.optimiser(stage, OptimiserSettings()), there, 0)
    for value in (loss.total, *loss.terms.values()):
        assert (value.device.type, value.shape, value.dtype) == ("meta", (), torch.float32)


def step(method: Method, stage: Stage, sgd: torch.optim.Optimizer, batch: Batch, number: int, of: int = 8) -> Loss:
    """One step as the engine does it; its stage progress is number / of."""
    progress = Progress(run=number / of / 3, stage=number / of, step=number)
    sgd.zero_grad(set_to_none=True)
    loss = step_loss(method, batch, stage, progress)
    loss.total.backward()
    sgd.step()
    finish_step(method, stage, progress)
    return loss
