"""The method keeps its contract, and learns."""

from __future__ import annotations

import torch

from harness.api import Batch, Progress, Task
from harness.templates.my_method import MyMethod, MyMethodParams

TASK = Task("test", 2, 1, ("background", "left", "right"), (32, 32))


def test_a_few_steps_lower_the_loss() -> None:
    """Bright and dark halves, a few steps of the engine's optimiser."""
    torch.set_num_threads(1)  # as in every run
    torch.manual_seed(0)
    method = MyMethod(TASK, MyMethodParams())
    (stage,) = method.stages
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[:, :, 8:16], labels[:, :, 16:24] = 1, 2
    images = labels.unsqueeze(1) / 2 + 0.1 * torch.rand(2, 1, 32, 32)
    optimiser = torch.optim.SGD(method.parameter_groups(stage), lr=0.05, momentum=0.9)
    losses = []
    for step in range(12):
        progress = Progress(step / 12, step / 12, step)
        progress = progress.with_schedules(method.schedules(stage, progress))
        loss = method.training_loss(Batch(images, labels, (images,)), stage, progress)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        method.after_step(stage, progress)
        losses.append(loss.total.item())
    assert losses[-1] < 0.8 * losses[0]
    assert method.predictor(images).shape == (2, 3, 32, 32)
