"""What ACTION and ACTION++ do around their losses: three stages, a teacher, who learns when, what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.method import Method, Stage
from harness.api.params import Alteration, OptimiserSettings
from harness.api.progress import Progress
from methods.action_parts.action_params import ActionParams
from methods.action_parts.contrast_net import ContrastNet, global_neighbours, local_neighbours
from methods.shared.ema import ema_update, teacher_of

AVERAGED: Mapping[str, tuple[str, ...]] = {
    "global": ("backbone.encoder", "whole"),
    "local": ("backbone", "whole", "local"),
    "anatomical": ("backbone", "representation"),
}
"""Parts of student and teacher that each stage trains and averages."""
PREDICTORS: Mapping[str, tuple[str, ...]] = {"global": ("whole",), "local": ("whole", "local"), "anatomical": ()}
"""Parts of the method that are the student's alone."""


class ThreeStages(Method):
    """Stages global, local and anatomical; the student is tested.

    temperatures: the schedules that each stage uses, by the name of the parameter.
    counts:       terms of the last stage that are numbers of pixels; the last step's are in the buffer `used`.
    """

    temperatures: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "global": ("student", "teacher"),
        "local": ("student", "teacher"),
        "anatomical": ("anatomical",),
    }
    counts: ClassVar[tuple[str, ...]] = ("confident_pixels", "valid_pixels", "anatomical_queries")
    used: Tensor

    def __init__(self, task: Task, params: ActionParams) -> None:
        super().__init__(task)
        self.params = params
        self.student = ContrastNet(task, params.dimension, params.window_border)
        self.teacher = teacher_of(self.student)
        self.whole = global_neighbours(task, params.bank)
        self.local = local_neighbours(task, params.bank, params.window_border)
        self.register_buffer("used", torch.zeros(len(self.counts)))
        self.stage_name, self.stage_progress = self.stages[0].name, 0.0

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those with a share above 0."""
        shares = (self.params.share_global, self.params.share_local, self.params.share_anatomical)
        return tuple(Stage(name, share) for name, share in zip(AVERAGED, shares, strict=True) if share > 0)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """Jitter and blur in every stage, mixing in the last one."""
        return self.params.augmentation

    def start_stage(self, stage: Stage) -> None:
        """Teacher := student before fine-tuning; the banks stay, since the teacher that filled them goes on."""
        self.stage_name, self.stage_progress = stage.name, 0.0
        if stage.name == "anatomical":
            self.teacher.load_state_dict(self.student.state_dict())

    def parameter_groups(self, stage: Stage) -> Iterable[nn.Parameter]:
        """The student's parts that the stage's loss reads, and their predictors."""
        ours = map(self.student.get_submodule, AVERAGED[stage.name])
        predictors = map(self.get_submodule, PREDICTORS[stage.name])
        return [p for part in chain(ours, predictors) for p in part.parameters()]

    def optimiser(self, stage: Stage, settings: OptimiserSettings) -> torch.optim.Optimizer:
        """The engine's SGD; in the last stage with Nesterov momentum where there is momentum, as in the release."""
        nesterov = settings.nesterov or (stage.name == "anatomical" and settings.momentum > 0)
        return super().optimiser(stage, settings.model_copy(update={"nesterov": nesterov}))

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """The temperatures that the stage uses, as `temperature_NAME`."""
        return self._temperatures(stage.name, progress.stage)

    def after_step(self, stage: Stage, progress: Progress) -> None:
        """Teacher <- moving average of the student, where the stage trains it."""
        for name in AVERAGED[stage.name]:
            ema_update(self.teacher.get_submodule(name), self.student.get_submodule(name), self.params.ema_decay)

    def on_progress(self, stage: Stage, progress: Progress) -> None:
        """Remember where the stage is."""
        self.stage_progress = progress.stage

    def diagnostics(self) -> Mapping[str, float]:
        """The stage's temperatures, the mean cosine of two images in the global bank, pixels used by the last step."""
        units = F.normalize(self.whole.bank.entries[self.whole.bank.filled], dim=1)
        pairs = len(units) * (len(units) - 1)
        alike = (units @ units.t()).fill_diagonal_(0.0).sum().item() / max(pairs, 1)
        shown = self._temperatures(self.stage_name, self.stage_progress) | {"bank_similarity": alike}
        return shown | dict(zip(self.counts, self.used.tolist(), strict=True))

    @property
    def predictor(self) -> nn.Module:
        """The student's network, as in the release."""
        return self.student.backbone

    @property
    def pseudo_label_network(self) -> nn.Module:
        """The teacher's network, whose pseudo labels the last stage learns from."""
        return self.teacher.backbone

    def _temperatures(self, stage: str, progress: float) -> dict[str, float]:
        return {
            f"temperature_{name}": float(getattr(self.params, f"{name}_temperature").value(progress))
            for name in self.temperatures[stage]
        }

    def get_extra_state(self) -> Tensor:
        """Stage progress of the last step: on the host, where `on_progress` needs it."""
        return torch.tensor(self.stage_progress, dtype=torch.float64, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Put it back."""
        self.stage_progress = float(state)
