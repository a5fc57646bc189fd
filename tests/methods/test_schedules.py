"""A method's schedules may reach it as device scalars: the same step, whether they are numbers or tensors."""

from __future__ import annotations

import pytest
import torch

from harness.api.method import Method
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress
from methods.action import ACTION
from methods.action_pp import ACTIONPP
from tests.methods.tiny import METHODS, batch_for, build

EVERY_METHOD = (*METHODS, ACTION, ACTIONPP)


def step_with(method: Method, stage_number: int, *, as_tensors: bool) -> tuple[float, list[torch.Tensor]]:
    """The loss of one whole step at the middle of a stage, and all parameters after it."""
    stage = method.stages[stage_number]
    method.start_stage(stage)
    optimiser = method.optimiser(stage, OptimiserSettings(learning_rate=0.05))
    progress = Progress(run=0.3, stage=0.37, step=7)
    values = method.schedules(stage, progress)
    given = {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()} if as_tensors else values
    progress = progress.with_schedules(given)
    torch.manual_seed(1)
    loss = method.training_loss(batch_for(method), stage, progress)
    loss.total.backward()
    optimiser.step()
    method.after_step(stage, progress)
    return float(loss.total.detach()), [parameter.detach() for parameter in method.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY_METHOD)
def test_a_step_takes_its_schedules_as_numbers_or_as_device_scalars(kind: type[Method]) -> None:
    for number in range(len(build(kind).stages)):
        from_numbers, weights = step_with(build(kind), number, as_tensors=False)
        from_tensors, others = step_with(build(kind), number, as_tensors=True)
        assert from_tensors == pytest.approx(from_numbers, rel=1e-5)
        for weight, other in zip(weights, others, strict=True):
            torch.testing.assert_close(other, weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", EVERY_METHOD)
def test_a_step_reads_nothing_of_progress_but_its_schedules(kind: type[Method]) -> None:
    """What a captured step would take from the host would stay as it was at the capture."""
    for number in range(len(build(kind).stages)):
        losses = []
        for share in (0.2, 0.9):
            method = build(kind)
            stage = method.stages[number]
            method.start_stage(stage)
            schedules = method.schedules(stage, Progress(run=0.5, stage=0.5, step=3))
            torch.manual_seed(1)
            progress = Progress(share, share, int(10 * share), schedules)
            losses.append(float(method.training_loss(batch_for(method), stage, progress).total.detach()))
        assert losses[0] == losses[1]
