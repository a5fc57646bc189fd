"""Small tasks, batches and steps that the tests of methods share: slices of four classes, patches of two, no scans."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress
from methods.bcp import BCP
from methods.cps import CPS
from methods.dtc import DTC
from methods.mc_net import MCNet
from methods.mean_teacher import MeanTeacher
from methods.ss_net import SSNet
from methods.supervised import Supervised
from methods.supervised_full import SupervisedFull
from methods.ua_mt import UAMT
from methods.unimatch import UniMatch
from methods.urpc import URPC

M = TypeVar("M", bound=Method)

METHODS: tuple[type[Method], ...] = (
    Supervised,
    SupervisedFull,
    UAMT,
    MCNet,
    MeanTeacher,
    CPS,
    BCP,
    UniMatch,
    URPC,
    DTC,
    SSNet,
)
"""All but ACTION and ACTION++, which a test makes small before it trains them (`tests.methods.staged`)."""
TASK = Task(name="tiny", dimension=2, channels=1, classes=("background", "RV", "Myo", "LV"), size=(32, 32))
TASK_3D = Task(name="tiny3d", dimension=3, channels=1, classes=("background", "LA"), size=(32, 32, 16))


def build(kind: type[M], seed: int = 0, task: Task = TASK, /, **params: object) -> M:
    """A method in train mode whose weights come from `seed`."""
    torch.manual_seed(seed)
    return kind.build(task, kind.Params.model_validate(params)).train()


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


def no_dropout(method: M) -> M:
    for module in method.modules():
        if isinstance(module, nn.Dropout | nn.Dropout3d):
            module.p = 0.0
    return method


def step(method: Method, sgd: torch.optim.Optimizer, batch: Batch, number: int, of: int = 20) -> Loss:
    """One step of the last stage."""
    return stage_step(method, method.stages[-1], sgd, batch, number, of)


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
