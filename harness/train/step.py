"""One training step, and what comes before the first one of a stage. Training, warm-up and replay take the same."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from harness.api.method import BatchPlan, Loss, Stage
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress, poly
from harness.train.checkpoint import TrainingState


def start_stage(state: TrainingState) -> None:
    """Enter the meter's stage: weights handed over, a fresh optimiser (the rate restarts, momentum resets).

    The method is put into training mode first, so that a stage may freeze a part by `.eval()`.
    """
    stage = state.stage
    state.method.train()
    state.method.start_stage(stage)
    state.optimiser = state.method.optimiser(stage, state.run.engine.optimiser)


def training_step(state: TrainingState, stage: Stage, plan: BatchPlan, progress: Progress) -> Loss:
    """Assemble a batch, augment, loss, backward, update. Nothing here waits for the device.

    Args:
        state: What trains; its optimiser has the step's learning rate already.
        stage: The stage that the step belongs to.
        plan: Images of each stream that the method asked for.
        progress: With the method's schedules.

    Returns:
        The method's loss, on the device.
    """
    batch = state.sampler.next(plan)
    state.monitor.given(batch)
    with _precision(state):
        loss = state.method.training_loss(batch, stage, progress)
    state.optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    state.optimiser.step()
    state.method.after_step(stage, progress)
    state.method.on_progress(stage, progress)
    return loss


def take_step(state: TrainingState, stage: Stage, plan: BatchPlan) -> None:
    """A step without clock, history and monitor: of a warm-up, or of a replay."""
    progress = state.meter.progress()
    set_learning_rate(state.optimiser, state.run.engine.optimiser, progress)
    training_step(state, stage, plan, progress.with_schedules(state.method.schedules(stage, progress)))
    state.meter.count_step()


def set_learning_rate(optimiser: torch.optim.Optimizer, settings: OptimiserSettings, progress: Progress) -> float:
    """Scale every group's initial rate by the schedule at this stage's progress; the first group's rate."""
    factor = poly(progress.stage, settings.poly_power) if settings.schedule == "poly" else 1.0
    for group in optimiser.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
    return float(optimiser.param_groups[0]["lr"])


def _precision(state: TrainingState) -> AbstractContextManager[object]:
    """The suite's precision for the forward pass; the backward pass follows it by itself."""
    if state.run.engine.precision == "float32":
        return nullcontext()
    return torch.autocast(state.device.type, dtype=torch.bfloat16)
