"""Small tasks, batches and steps that the tests of methods share: slices of four classes, patches of two, no scans."""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from harness.api import Batch, Loss, Method, OptimiserSettings, Progress, Stage, Task
from harness.suite.registry import load_method, method_sources

M = TypeVar("M", bound=Method)
N = TypeVar("N", bound=nn.Module)

METHODS = [
    load_method(name)
    for name in sorted(method_sources())
    if not name.startswith("action") and not name.endswith("_warm")
]
"""All but ACTION, ACTION++ and those that start from supervised weights."""
TASK = Task(name="tiny", dimension=2, channels=1, classes=("background", "RV", "Myo", "LV"), size=(32, 32))
TASK_3D = Task(name="tiny3d", dimension=3, channels=1, classes=("background", "LA"), size=(32, 32, 16))


RAMP: dict[str, Any] = {"consistency": 3.0, "ramp_end": 0.8}
RAMPED = 3.0 * math.exp(-5 * 0.25**2)
"""Weight of a consistency with these parameters at 0.6 of a stage."""
SMALL = {"queries": 8, "keys": 12, "dimension": 16, "bank": 6, "anchors": 8, "queue": 64}
"""Parameters of ACTION and ACTION++ at which a test can afford a step."""


def build(kind: type[M], seed: int = 0, /, task: Task = TASK, **params: object) -> M:
    """A method in train mode whose weights come from `seed`."""
    small = {name: value for name, value in SMALL.items() if name in kind.Params.model_fields}
    torch.manual_seed(seed)
    return kind.build(task, kind.Params.model_validate({**small, **params})).train()


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def blobs(count: int) -> tuple[Tensor, Tensor]:
    """Images [count, 1, 32, 32] and labels: a bright square per class, shifted from image to image."""
    labels = torch.zeros(count, 32, 32, dtype=torch.long)
    for i in range(count):
        labels[i, 4 + i : 12 + i, 3:10] = 1
        labels[i, 4:12, 14 + i : 24 + i] = 2
        labels[i, 18:28, 6 + i : 16 + i] = 3
    return labels.unsqueeze(1) / 3.0, labels


def balls(count: int, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Images [count, 1, *size] of zero mean and unit variance, and labels: a bright ball, moved from image to image."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij")
    distances = [sum((axis - 0.1 * i) ** 2 for axis in axes) for i in range(count)]
    labels = (torch.stack([torch.as_tensor(one) for one in distances]) < 0.4).long()
    images = labels.unsqueeze(1) + 0.1 * torch.randn(count, 1, *size, generator=torch.Generator().manual_seed(0))
    return (images - images.mean()) / images.std(), labels


def batch_for(method: Method, batch_size: int = 4) -> Batch:
    plan = method.batches(method.stages[-1], batch_size)
    count = plan.labelled + plan.unlabelled
    images, labels = blobs(count) if method.task.dimension == 2 else balls(count, method.task.size)
    unlabelled = (images[plan.labelled :],) if plan.unlabelled else ()
    return Batch(images[: plan.labelled], labels[: plan.labelled], unlabelled)


def optimiser(method: Method) -> torch.optim.Optimizer:
    """SGD at a rate at which a few steps show."""
    return method.optimiser(method.stages[-1], OptimiserSettings(learning_rate=0.05))


def stage_of(method: Method, name: str) -> Stage:
    (stage,) = (one for one in method.stages if one.name == name)
    return stage


def enter(method: Method, name: str) -> tuple[Stage, torch.optim.Optimizer]:
    """Start a stage, and no other before it."""
    stage = stage_of(method, name)
    method.start_stage(stage)
    return stage, method.optimiser(stage, OptimiserSettings(learning_rate=0.02))


def no_dropout(net: N) -> N:
    for module in net.modules():
        if isinstance(module, nn.Dropout | nn.Dropout3d):
            module.p = 0.0
    return net


def step(method: Method, sgd: torch.optim.Optimizer, batch: Batch, number: int) -> Loss:
    """A step of the last stage."""
    return stage_step(method, method.stages[-1], sgd, batch, number, of=20)


def stage_step(
    method: Method, stage: Stage, sgd: torch.optim.Optimizer, batch: Batch, number: int, of: int = 8
) -> Loss:
    progress = Progress(run=number / of / 3, stage=number / of, step=number)
    sgd.zero_grad(set_to_none=True)
    loss = step_loss(method, batch, stage, progress)
    loss.total.backward()
    sgd.step()
    finish_step(method, stage, progress)
    return loss


def step_loss(method: Method, batch: Batch, stage: Stage, progress: Progress) -> Loss:
    """The loss as the engine asks for it, with the method's schedules in its progress."""
    return method.training_loss(batch, stage, progress.with_schedules(method.schedules(stage, progress)))


def loss_of(method: Method, batch: Batch, share: float = 1.0) -> dict[str, float]:
    loss = step_loss(method, batch, method.stages[0], progress_at(share))
    return {"total": loss.total.item()} | {name: term.item() for name, term in loss.terms.items()}


class Recorder:
    def __init__(self, network: nn.Module) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Any] = []
        network.register_forward_hook(self._record)

    def _record(self, _: nn.Module, args: tuple[Tensor, ...], output: object) -> None:
        self.inputs.append(args[0].detach().clone())
        self.outputs.append(tree_map(lambda each: each.detach().clone(), output))

    def arrays(self) -> list[Any]:
        """The outputs in float64."""
        return [tree_map(lambda each: each.double().numpy(), output) for output in self.outputs]


def finish_step(method: Method, stage: Stage, progress: Progress) -> None:
    method.after_step(stage, progress.with_schedules(method.schedules(stage, progress)))
    method.on_progress(stage, progress)


def progress_at(share: float) -> Progress:
    """A stage's progress; the run's is another number, so that nothing confuses the two."""
    return Progress(run=share / 3, stage=share, step=0)
