"""Supervised training before a method begins: the same freedom for methods whose papers have no such stage."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from harness.api.method import Batch, BatchPlan, Loss, Method, Stage
from harness.api.params import OptimiserSettings
from harness.api.progress import Progress
from harness.api.staged import StagedParams, rate, share

WARM_UP = "warm_up"
"""The name of the stage."""


class WarmStartParams(StagedParams):
    """Share and learning-rate factor of supervised training; a subclass adds those of the method's own stages.

    Name it last among the bases, so that its stage comes first: `class MyParams(PaperParams, WarmStartParams)`.
    """

    share_warm_up: float = share(1 / 3, "supervised training")
    rate_warm_up: float = rate("supervised training")


class WarmStart(Method):
    """A method that starts from supervised weights: `class MyMethod(WarmStart, Paper)`, with its own `name`.

    A first stage trains on the labelled images alone, a whole batch of them in a step and with the labelled-only
    baseline's loss, what the method tests later. Then the method's stages follow, as they are.

    Attributes:
        warming: True while the first stage trains.
    """

    params: WarmStartParams
    warming: bool = False

    def warm_up_network(self) -> nn.Module:
        """The network that the first stage trains: images to logits, or to a list of them; by default the predictor."""
        return self.predictor

    def hand_over(self) -> None:
        """Copy the trained weights to the method's other networks, teachers above all; nothing by default."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Supervised training, and the method's stages with a share above 0."""
        return self.params.stages()

    def batches(self, stage: Stage, batch_size: int) -> BatchPlan:
        """A whole batch of labelled images, then what the method says."""
        if stage.name == WARM_UP:
            return BatchPlan(labelled=batch_size, unlabelled=0)
        return super().batches(stage, batch_size)

    def start_stage(self, stage: Stage) -> None:
        """Hand the weights over as supervised training ends."""
        if stage.name == WARM_UP:
            self.warming = True
            return
        if self.warming:
            self.hand_over()
            self.warming = False
        super().start_stage(stage)

    def parameter_groups(self, stage: Stage) -> Iterable[nn.Parameter]:
        """Those of the network that the first stage trains, then what the method says."""
        return self.warm_up_network().parameters() if stage.name == WARM_UP else super().parameter_groups(stage)

    def optimiser(self, stage: Stage, settings: OptimiserSettings) -> torch.optim.Optimizer:
        """The engine's, then what the method says."""
        return Method.optimiser(self, stage, settings) if stage.name == WARM_UP else super().optimiser(stage, settings)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """None at first, then the method's."""
        return {} if stage.name == WARM_UP else super().schedules(stage, progress)

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """The labelled loss, its mean where the network gives several logits; then the method's loss."""
        if stage.name != WARM_UP:
            return super().training_loss(batch, stage, progress)  # type: ignore[safe-super]
        answers: Tensor | Sequence[Tensor] = self.warm_up_network()(batch.images)
        several = [answers] if isinstance(answers, Tensor) else answers
        losses = [self.labelled_loss(logits, batch.labels) for logits in several]
        return Loss(torch.stack([loss.total for loss in losses]).mean(), losses[0].terms)

    def after_step(self, stage: Stage, progress: Progress) -> None:
        """Nothing at first, then what the method does."""
        if stage.name != WARM_UP:
            super().after_step(stage, progress)

    def on_progress(self, stage: Stage, progress: Progress) -> None:
        """Nothing at first, then what the method does."""
        if stage.name != WARM_UP:
            super().on_progress(stage, progress)

    def events(self, stage: Stage) -> int:
        """None at first, then the method's."""
        return 0 if stage.name == WARM_UP else super().events(stage)

    def diagnostics(self) -> Mapping[str, float]:
        """None at first, then the method's."""
        return {} if self.warming else super().diagnostics()
