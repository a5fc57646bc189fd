"""The contract of a method. The engine owns the loop; a method says what one step's loss is.

A `Method` is an `nn.Module`, so its state dict is its whole state: parameters, teachers, memory banks, running means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.losses import LabelledLoss, Loss, supervised_loss
from harness.api.params import Alteration, MethodParams, OptimiserSettings
from harness.api.progress import Progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


__all__ = ["Batch", "BatchPlan", "Loss", "Method", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A named share of a method's budget. Learning rate, ramps and optimiser state start anew with each stage.

    Attributes:
        name: Unique within the method; it stands in histories and results.
        share: Part of the run's budget, above 0. The shares of all stages add up to 1.
        rate: Factor on the engine's learning rate.
    """

    name: str
    share: float = 1.0
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What one training step needs.

    Attributes:
        labelled: Number of labelled images of a step; 0 leaves the stream out.
        unlabelled: Number of unlabelled images of a step; 0 leaves the stream out.
        views: Number of weak augmentations of each unlabelled image, each with a geometry of its own, so that pixels
            of two views do not correspond. A method that compares pixels takes one view and changes its brightness
            itself.
    """

    labelled: int
    unlabelled: int
    views: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's images, augmented, on the device. A method must not change them in place.

    L and U are the numbers of labelled and unlabelled images, C the channels.

    Attributes:
        images: [L, C, *size] float32, labelled.
        labels: [L, *size] int64, values 0 .. n_classes - 1.
        unlabelled: One tensor [U, C, *size] float32 per view; the same images in each.
    """

    images: Tensor
    labels: Tensor
    unlabelled: tuple[Tensor, ...] = ()


class Method(nn.Module, ABC):
    """One paper. Subclass it in a file of `methods/`, or in an installed package with an entry point.

    The engine owns the loop, the clock, the optimiser's settings, batches, precision, validation and checkpoints. It
    calls these hooks in this order: `start_stage`, then for each step `schedules`, `training_loss`, the optimiser,
    `after_step`, `on_progress`; at validations `diagnostics`; at the end `arrays` and `figures`.

    Required:
        - `name`: what suites call it; the file's name.
        - `__init__(task, params)`: calls `super().__init__(task)`, then builds the networks on the CPU. The engine
          moves them to the device.
        - `training_loss`: the loss of one step. On the device, in training mode, inside the clock.
        - `predictor`: the network that is tested.

    Optional:
        - `Params`: its hyper-parameters, a `MethodParams` class.
        - `version`: raise it when the method's numbers change; it is part of every run's id.
        - `labels`: "subset" trains on the run's labelled patients, "all" on every training label.
        - `ranked`: False for references, which the leaderboard shows apart.
        - `capturable`: True where `training_loss` and `after_step` may be recorded once as a CUDA graph and replayed:
          no host copies, no shapes that depend on values, numbers that change only in buffers and `progress["name"]`.
        - `engine_loss`: True where the labelled term is `self.labelled_loss`, so that a suite can choose it.
        - `unit`: True for the one method whose step is the unit of a budget of reference steps.
        - `paper`: the citation that `harness list` shows.
        - `stages`: named shares of the budget; one stage by default. `Params` of a method with several is a
          `StagedParams` (harness.api.staged), so that all are tuned alike.
        - `batches`: labelled and unlabelled images of a step; half of each by default.
        - `augmentation`: what it does to images beyond the engine's augmentation; audited.
        - `start_stage`: hands weights over, freezes, resets banks. In training mode, inside the clock.
        - `parameter_groups`, `optimiser`: what a stage trains, and with which optimiser.
        - `schedules`: numbers that change from step to step. On the host, inside the clock.
        - `after_step`: EMA updates and the like. On the device, in training mode, inside the clock.
        - `on_progress`: work at points of progress. On the host, in training mode, inside the clock.
        - `events`: at how many points of progress `on_progress` works, where that costs more than a look.
        - `diagnostics`: scalars worth a curve. Outside the clock; host copies are fine.
        - `arrays`, `figures`: what is worth a picture. Once, after the last step, outside the clock.
        - `pseudo_label_network`: the network that labels unlabelled images; watched at every third validation.

    All randomness comes from torch's default generators, which are in the checkpoint, none from numpy or `random`. All
    state is in the state dict, or in `get_extra_state`: a resumed run must not differ from an uninterrupted one.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    Params: ClassVar[type[MethodParams]] = MethodParams
    labels: ClassVar[Literal["subset", "all"]] = "subset"
    ranked: ClassVar[bool] = True
    capturable: ClassVar[bool] = False
    engine_loss: ClassVar[bool] = False
    unit: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.labelled_loss: LabelledLoss = supervised_loss
        """Of logits [N, C, *size] and labels [N, *size]; the engine puts the suite's `engine.loss` in its place."""

    @classmethod
    def build(cls, task: Task, params: MethodParams) -> Self:
        """Make a new instance, on the host, with initial weights.

        Args:
            task: What the data are: dimension, channels, classes and sizes.
            params: An instance of the method's own `Params`.

        Returns:
            What the method's `__init__` makes of the two.
        """
        return cls(task, params)  # type: ignore[call-arg]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages in order; their shares add up to 1."""
        return (Stage("train"),)

    def batches(self, stage: Stage, batch_size: int) -> BatchPlan:
        """How the suite's batch size is used: half labelled, half unlabelled unless the method says otherwise.

        Args:
            stage: The stage that trains.
            batch_size: Images of a step, both streams together, as the suite asks for them.

        Returns:
            The images of each stream. Steps of all methods should hold `batch_size` images in all.
        """
        return BatchPlan(labelled=batch_size - batch_size // 2, unlabelled=batch_size // 2)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What the method does to images before the tested network learns from them, beyond the engine's augmentation.

        `harness audit` compares this with what the engine sees arrive at that network.
        """
        return ()

    def start_stage(self, stage: Stage) -> None:
        """Hand weights over, freeze, reset banks; called before a stage's first step, in training mode.

        Its time is charged to the stage. A resumed run and a warm-up start every stage up to theirs again, on a new
        instance, before a checkpoint's state is loaded. So it must work from whatever state the module is in.

        Args:
            stage: The stage that begins.
        """

    def parameter_groups(self, stage: Stage) -> Iterable[nn.Parameter]:
        """Name the parameters that the stage trains: by default all that require a gradient.

        Args:
            stage: The stage that begins.

        Returns:
            Parameters of this module; the engine's optimiser gets no others.
        """
        return (p for p in self.parameters() if p.requires_grad)

    def optimiser(self, stage: Stage, settings: OptimiserSettings) -> torch.optim.Optimizer:
        """The engine's SGD, in one pass over the weights. A method that needs another overrides this and says so.

        Args:
            stage: The stage that begins; each has an optimiser of its own.
            settings: The suite's. The engine schedules the learning rate of every parameter group.

        Returns:
            An optimiser of `parameter_groups(stage)`.
        """
        parameters = list(self.parameter_groups(stage))
        return torch.optim.SGD(
            parameters,
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
            fused=not any(parameter.is_meta for parameter in parameters),  # shapes alone, for which there is no kernel
        )

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """Numbers that change from step to step: weights, thresholds, temperatures, decays. On the host, any Python.

        Args:
            stage: The stage that trains.
            progress: Shares of the budget that are spent before the step.

        Returns:
            Values by name. `training_loss` and `after_step` read them as `progress["name"]`, where they may be device
            scalars; the engine records them by step.
        """
        return {}

    @abstractmethod
    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """Loss of one step. No host copies: no `.item()`, no `.cpu()`, no branching on tensors or schedules.

        Args:
            batch: As many images of each stream and views as `batches` asked for.
            stage: The stage that trains.
            progress: Only its schedules, `progress["name"]`; nothing else of it may decide what the step computes.

        Returns:
            The total, with a gradient for the parameters of the stage, and its named terms.
        """

    def after_step(self, stage: Stage, progress: Progress) -> None:
        """EMA updates and the like; called after each optimiser step, inside the clock. No host copies.

        Args:
            stage: The stage that trains.
            progress: That of the step just taken; only its schedules.
        """

    def on_progress(self, stage: Stage, progress: Progress) -> None:
        """Work at points of progress; called after `after_step`, inside the clock, on the host (copies are fine).

        Args:
            stage: The stage that trains.
            progress: That of the step just taken, its shares and steps included.
        """

    def events(self, stage: Stage) -> int:
        """At how many equally spaced points of a stage's progress `on_progress` does work that costs something.

        Under a budget of reference steps one such event is measured, and all of them are paid for.

        Args:
            stage: The stage that trains.

        Returns:
            n, where `on_progress` works each time that stage progress has passed another 1 / n; 0 for none.
        """
        return 0

    def diagnostics(self) -> Mapping[str, float]:
        """Give scalars worth a curve, read at validations, outside the clock; host copies are fine here.

        Returns:
            Numbers by name, each in its own unit.
        """
        return {}

    def arrays(self) -> Mapping[str, Tensor]:
        """Small named arrays worth a picture, read once, after the last step and outside the clock.

        They are stored and shared with the run's records (at most 1 MB in all): features of single pixels, matrices;
        never weights, nor anything from which a scan could be put together again.

        Returns:
            Tensors by name.
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
        """The network that is tested: images [N, C, *size] float32 -> logits [N, n_classes, *size]."""

    @property
    def pseudo_label_network(self) -> nn.Module:
        """The network whose answers on unlabelled images are learnt from, of the predictor's shapes: mostly a teacher.

        At every third validation and the last one the engine compares its labels of whole scans, in evaluation mode,
        with labels that no method sees.
        """
        return self.predictor
