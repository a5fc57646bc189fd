from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.api import Batch
from harness.train.build import update
from harness.train.checkpoint import TrainingState
from harness.train.graph import CapturedStep
from tests.bench.device.common import Asked, capturable, progress_at, started, take_steps, wait
from tests.bench.device.planner import Row
from tests.bench.device.same_draws import SameDraws, without_dropout
from tests.bench.workload import Entry, Precision, take_middle_step

LOSS_TOLERANCE = 1e-3
"""Largest relative difference of a step's loss between CPU and device, both in float32."""
WEIGHT_TOLERANCE = 2e-2
"""Largest difference of the trained weights, over the distance that they have come."""

CPU = torch.device("cpu")


def correct(asked: Asked) -> Iterator[Row]:
    """How far losses and weights of the device lie from those of the CPU: same batches and draws, no dropout."""

    def compare(name: str) -> Row:
        given = batches(name, asked)
        cpu_losses, start, cpu_weights = trained(started(name, asked, CPU, "float32"), given)
        losses, _, ours = trained(started(name, asked, asked.device, "float32"), given)
        loss = float(((losses - cpu_losses).abs() / cpu_losses.abs().clamp(min=1e-3)).max())
        weight = float((ours - cpu_weights).norm() / (cpu_weights - start).norm())
        return {"loss": loss, "weights": weight, "agree": loss <= LOSS_TOLERANCE and weight <= WEIGHT_TOLERANCE}

    for name in asked.names:
        yield {"name": name, **asked.attempted(compare, name)}


def batches(name: str, asked: Asked) -> list[Batch]:
    state, stage = started(name, asked, CPU, "float32")
    plan = state.method.batches(stage, asked.batch)
    return [state.sampler.next(plan) for _ in range(asked.steps)]


def trained(entry: Entry, given: Sequence[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """Losses [steps] of these batches, and all parameters in one row before and after; on the CPU."""
    state, stage = entry
    without_dropout(state.method)
    before = weights(state)
    losses = []
    torch.manual_seed(0)
    with SameDraws():
        for number, batch in enumerate(given):
            progress = progress_at(number / len(given), number, state, stage)
            images, labels, *views = (
                tensor.to(state.device) for tensor in (batch.images, batch.labels, *batch.unlabelled)
            )
            loss = update(state, stage, Batch(images, labels, tuple(views)), progress)
            losses.append(loss.total.detach().cpu())
            state.method.on_progress(stage, progress)
    return torch.stack(losses), before, weights(state)


def weights(state: TrainingState) -> Tensor:
    return torch.cat([parameter.detach().cpu().flatten() for parameter in state.method.parameters()])


def captured(asked: Asked) -> Iterator[Row]:
    """How far weights trained by replayed steps lie from those of steps that the host takes, dropout and all."""

    def train(name: str, kind: type[CapturedStep] | None) -> tuple[Tensor, Tensor]:
        entry = started(name, asked, asked.device, "float32", compiled=True)
        before = weights(entry[0])
        take_steps(entry, asked.steps, kind)
        return before, weights(entry[0])

    def compare(name: str) -> Row:
        (before, host), (_, replayed) = train(name, None), train(name, CapturedStep)
        weight = float((replayed - host).norm() / (host - before).norm())
        return {"weights": weight, "agree": weight <= WEIGHT_TOLERANCE}

    for name in filter(capturable, asked.names):
        yield {"name": name, **asked.attempted(compare, name)}


def guard(asked: Asked) -> Iterator[Row]:
    """Whether a step waits for the device: torch raises where one does."""

    def watch(name: str, precision: Precision) -> Row:
        state, stage = started(name, asked, asked.device, precision)
        for _ in range(2):  # centres are allotted anew in the first one, by the host
            take_middle_step(state, stage)
        wait(asked.device)
        watched = asked.device.type == "cuda"
        if watched:
            torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(asked.steps):
                take_middle_step(state, stage)
        finally:
            if watched:
                torch.cuda.set_sync_debug_mode("default")
        return {"says": "waits for nothing" if watched else "not watched: no GPU"}

    for precision in asked.precisions:
        for name in asked.names:
            yield {"name": name, "precision": precision, **asked.attempted(watch, name, precision)}
