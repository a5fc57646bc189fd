"""The contract of a method. The engine owns the loop; a method says what one step's loss is.

A `Method` is an `nn.Module`, so its state dict is its whole state: parameters, teachers, memory banks, running means.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from harness.api.params import MethodParams
from harness.api.progress import Progress
from harness.api.settings import Alteration, OptimiserSettings
from harness.api.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Stage:
    """A named share of a method's budget. Learning rate, ramps and optimiser state start anew with each stage."""

    name: str
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What one training step needs.

    labelled, unlabelled: images per step from each stream; 0 leaves a stream out.
    views:                weak augmentations of each unlabelled image, each with a geometry of its own: pixels of two
                          views do not correspond. A method that compares pixels takes one view and changes its
                          brightness itself.
    """

    labelled: int
    unlabelled: int
    views: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's images, augmented, on the device.

    images:     [L, C, *size] float32, labelled.
    labels:     [L, *size] int64.
    unlabelled: one tensor [U, C, *size] per view; the same images in each.
    """

    images: Tensor
    labels: Tensor
    unlabelled: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Loss:
    """A scalar to minimise and its named parts (scalars on the device, detached or not; never read in the step)."""

    total: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class Method(nn.Module):
    """One paper: subclass it in a file of `methods/` (file name = `name`).

    version: raise it when the method's numbers change; it is part of every unit's id.
    labels:  "subset" trains on the unit's labelled patients; "all" on every training label (the ceiling).
    ranked:  whether the leaderboard ranks it; reference rows such as the ceiling are shown apart.
    paper:   citation shown by `harness list`.

    All randomness comes from torch's default generators (they are in the checkpoint), none from numpy or `random`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    Params: ClassVar[type[MethodParams]] = MethodParams
    labels: ClassVar[Literal["subset", "all"]] = "subset"
    ranked: ClassVar[bool] = True
    paper: ClassVar[str] = ""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    @classmethod
    def build(cls, task: Task, params: MethodParams) -> Method:
        """A new instance; a method's `__init__` takes the task and its own `Params`."""
        return cls(task, params)  # type: ignore[call-arg]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages in order; their shares add up to 1."""
        return (Stage("train"),)

    def batches(self, stage: Stage, batch_size: int) -> BatchPlan:
        """How the suite's batch size is used: half labelled, half unlabelled unless the method says otherwise."""
        return BatchPlan(labelled=batch_size - batch_size // 2, unlabelled=batch_size // 2)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What the method does to images before the tested network learns from them, beyond the engine's augmentation.

        `harness audit` compares this with what the engine sees arrive at that network.
        """
        return ()

    def start_stage(self, stage: Stage) -> None:
        """Called before a stage's first step, in training mode: hand weights over, freeze, reset banks.

        Its time is charged to the stage. A resumed unit and a warm-up start every stage up to theirs again, on a new
        instance, before a checkpoint's state is loaded; so it must work from whatever state the module is in.
        """

    def parameter_groups(self, stage: Stage) -> Iterable[nn.Parameter]:
        """Parameters that the stage trains: by default all that require a gradient."""
        return (p for p in self.parameters() if p.requires_grad)

    def optimiser(self, stage: Stage, settings: OptimiserSettings) -> torch.optim.Optimizer:
        """The engine's SGD; a method that needs another overrides this and says so in its docstring."""
        return torch.optim.SGD(
            self.parameter_groups(stage),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """Numbers that change from step to step: weights, thresholds, temperatures, decays. On the host, any Python.

        The engine hands them to `training_loss` and `after_step` as `progress["name"]` and records them by step.
        """
        return {}

    @abstractmethod
    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """Loss of one step. No host copies: no `.item()`, no `.cpu()`, no branching on tensors or schedules."""

    def after_step(self, stage: Stage, progress: Progress) -> None:
        """Called after each optimiser step, inside the clock, with that step's progress (EMA updates)."""

    def on_progress(self, stage: Stage, progress: Progress) -> None:
        """Called after `after_step`, inside the clock, on the host: work at points of progress, host copies allowed."""

    def diagnostics(self) -> Mapping[str, float]:
        """Scalars worth a curve, read at validation looks and outside the clock; host copies are fine here."""
        return {}

    def arrays(self) -> Mapping[str, Tensor]:
        """Small named arrays worth a picture, read once, after the last step and outside the clock.

        They are stored and shared with the unit's records (at most 1 MB in all): features of single pixels, matrices;
        never weights, nor anything from which a scan could be put together again.
        """
        return {}

    def figures(
        self, arrays: Mapping[str, NDArray[Any]], diagnostics: Sequence[Mapping[str, float]]
    ) -> Mapping[str, Figure]:
        """Pictures of the method's own, drawn once, after the last step and outside the clock.

        They are stored as PNG and shared with the run's records (at most 1 MB in all): page, MLflow and leaderboard
        show them as they are. A figure's `suptitle` is its caption there. A picture that fails costs a warning only.

        Args:
            arrays: What `arrays` gave, on the host.
            diagnostics: What `diagnostics` gave at each validation, the first one first.

        Returns:
            Figures by name, of small letters, digits, - and _. Make them with `matplotlib.figure.Figure`, not pyplot.
        """
        return {}

    @property
    @abstractmethod
    def predictor(self) -> nn.Module:
        """The network that is tested: images [N, C, *size] -> logits [N, n_classes, *size]."""

    @property
    def labeller(self) -> nn.Module:
        """The network whose answers on unlabelled images are learnt from, of the predictor's shapes: mostly a teacher.

        At looks the engine compares what it says of whole scans, in evaluation mode, with labels that no method sees.
        """
        return self.predictor
