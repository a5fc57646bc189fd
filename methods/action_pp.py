"""ACTION++: You et al., Improving Semi-supervised Medical Segmentation with Adaptive Anatomical Contrast, MICCAI 2023.

ACTION, and in its last stage L_aaco: labelled pixels are drawn to the teacher's features of their class and to a class
centre, and all temperatures follow the stage.
    anatomical  L = L_sup + L_unsup + 0.01 L_anco + 0.01 L_aaco, lambda_a = 0.2
    schedules   tau(p) = tau- + 0.5 (1 + cos(2 pi p)) (tau+ - tau-) of stage progress p: one wave, softest at both ends

Readings of paper and release:
- Student, L_anco and L_aaco between 0.1 and 1.0, the teacher between 0.01 and 1.0: at both ends of a stage it does not
  sharpen. The release's ten waves are `periods: 10`.
- Centres stand before training: exact for up to d + 1 of them, d = 128 for student and teacher, where the release
  stops its optimiser early and compares with raw maps. `center_form: release` is its recipe.
- The centre's term is not divided by the number of positives; `contrast_form: release` divides, and takes all of them.
- Prototypes are running means of the student's features of the drawn pixels, moved after each step's loss. Centres are
  allotted anew at the start of the stage and at each hundredth of it, where the release does so in each step; dead
  slots revive from the queue, the teacher's features.
- Without `centers` neither numerator nor denominator has any: the plain supervised contrast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Stage
from harness.api.params import Dimension, Point, hyper
from harness.api.progress import Progress, Scalar
from methods.action import ACTION, ActionParams, FineTuning, Taus
from methods.action_parts.allocation import Allocation, AllocationMode
from methods.action_parts.allocation_picture import allocation_arrays, allocation_diagnostics, draw_allocation
from methods.action_parts.centers import RELEASED, class_centers, optimised_centers
from methods.action_parts.contrast_net import Seen
from methods.action_parts.neighbours import LabelledBank
from methods.action_parts.pixel_contrast import (
    AnchorDraw,
    Anchors,
    Targets,
    draw_anchors,
    draw_positives,
    supervised_contrast_loss,
)
from methods.action_parts.temperature import TEMPERATURE_SPACE, Cosine, Temperature, schedules

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

REASSIGNMENTS = 100
"""Per stage."""


class ActionPPParams(ActionParams):
    """ACTION's, other temperatures, and L_aaco's."""

    student_temperature: Temperature = hyper(
        Cosine(low=0.1, high=1.0), "of the student's similarities in i and ii", cost=False
    )
    teacher_temperature: Temperature = hyper(Cosine(low=0.01, high=1.0), "of the teacher's", cost=False)
    anatomical_temperature: Temperature = hyper(Cosine(low=0.1, high=1.0), "of L_anco", cost=False)
    supervised_temperature: Temperature = hyper(Cosine(low=0.1, high=1.0), "of L_aaco", cost=False)
    lambda_a: float = hyper(0.2, "weight of the centre's term in L_aaco", ge=0, search=(0.05, 1.0), scale="log")
    centers: bool = hyper(True, "False: L_aaco without class centres")
    centers_per_class: int = hyper(1, "r", ge=1, search=(1, 2, 4, 8, 16), scale="choice")
    center_form: Literal["exact", "release"] = hyper("exact", "release: where its optimiser stops")
    allocation: AllocationMode = hyper(
        "adaptive",
        "random: fixed; frequency: more centres to large classes",
        search=("adaptive", "frequency", "random"),
        scale="choice",
    )
    eta: float = hyper(0.1, "share of a step in the running means", gt=0, le=1)
    anchors: int = hyper(256, "labelled pixels of a class in L_aaco", ge=1)
    queue: int = hyper(12_288, "features of the teacher in the queue", ge=2)
    positives: int = hyper(6, "positives of an anchor from the queue", ge=1)
    contrast_form: Literal["sampled", "release"] = hyper("sampled", "release: all positives, centre divided by them")

    def space(self) -> dict[str, Dimension]:
        """The fields', and one schedule for all temperatures."""
        return {**super().space(), **TEMPERATURE_SPACE}

    def current_value(self, name: str) -> Any:  # noqa: ANN401 - whatever the dimension's values are
        """As for any field; on the schedule's dimensions, the student's."""
        if name in TEMPERATURE_SPACE:
            return getattr(self.student_temperature, name.removeprefix("tau_"), None)
        return super().current_value(name)

    def with_values(self, point: Point) -> dict[str, Any]:
        """As for any field; a point on the schedule's dimensions sets all four temperatures."""
        plain = {name: value for name, value in point.items() if name not in TEMPERATURE_SPACE}
        moved = schedules(point, self.student_temperature) if len(plain) < len(point) else {}
        return {**super().with_values(plain), **moved}


class ACTIONPP(ACTION):
    """ACTION with class centres and temperature schedules."""

    name = "action_pp"
    paper = "You et al., ACTION++: Improving with Adaptive Anatomical Contrast, MICCAI 2023"
    Params = ActionPPParams
    temperatures: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ACTION.temperatures,
        "anatomical": ("anatomical", "supervised"),
    }
    counts = (*ACTION.counts, "supervised_anchors")
    params: ActionPPParams

    def __init__(self, task: Task, params: ActionPPParams) -> None:
        super().__init__(task, params)
        seed = int(torch.randint(1 << 31, ()))
        wanted = (params.centers_per_class * task.n_classes, params.dimension, seed)
        exact = params.center_form == "exact"
        centres = class_centers(*wanted) if exact else optimised_centers(*wanted, RELEASED)
        self.allocation = Allocation(centres, task.n_classes, params.allocation, seed)
        self.queue = LabelledBank(params.queue, params.dimension)
        self.dead: Tensor = nn.Buffer(torch.zeros((), dtype=torch.int64))  # slots, at the last assignment

    def start_stage(self, stage: Stage) -> None:
        """As ACTION; centres are allotted before fine-tuning."""
        super().start_stage(stage)
        if stage.name == "anatomical":
            self.allocation.reassign()

    def events(self, stage: Stage) -> int:
        return REASSIGNMENTS if stage.name == "anatomical" else 0

    def on_progress(self, stage: Stage, progress: Progress) -> None:
        """As ACTION; centres are allotted anew when the stage has passed another hundredth."""
        passed = int(REASSIGNMENTS * progress.stage) > int(REASSIGNMENTS * self.stage_progress)
        super().on_progress(stage, progress)
        if passed and stage.name == "anatomical":
            self.dead = (self.allocation.chosen_since == 0).sum()
            self.allocation.reassign(self.queue.entries, self.queue.labels)

    def _contrast(self, step: FineTuning, taus: Taus) -> Loss:
        anatomical = super()._contrast(step, taus)
        draw = draw_anchors(step.given, self.task.n_classes, self.params.anchors)
        student = F.normalize(step.pixels.at(draw.positions).float(), dim=1)
        with torch.no_grad():
            theirs = self.teacher.pixels([features[: len(step.given)] for features in step.taught])
            teacher = F.normalize(theirs.at(draw.positions).float(), dim=1)
        loss = self._supervised_contrast(Anchors(student, teacher, draw.labels, draw.used), taus["supervised"])
        self._remember(draw, student.detach(), teacher, step.given)
        used = draw.used.sum().float()
        terms = {**anatomical.terms, "supervised_contrast": loss, "supervised_anchors": used}
        terms["assignment_changes"] = self.allocation.changes.float()
        return Loss(anatomical.total + loss, terms)

    def _supervised_contrast(self, anchors: Anchors, tau: Scalar) -> Tensor:
        params, queue = self.params, self.queue
        chosen = self.allocation.target(anchors.student, anchors.labels)
        masked = self.allocation.own_class_mask(anchors.labels, chosen) | (not params.centers)
        targets = Targets(self.allocation.centres, chosen, masked)
        positives = None
        if params.contrast_form == "sampled":
            positives = draw_positives(queue.labels, anchors.labels, self.task.n_classes, params.positives)
        weight = params.lambda_a * params.centers
        return supervised_contrast_loss(anchors, queue, targets, positives, tau, weight)

    def _remember(self, draw: AnchorDraw, student: Tensor, teacher: Tensor, labels: Tensor) -> None:
        self.allocation.observe(labels)
        self.allocation.update(student, draw.labels, draw.used, self.params.eta)
        self.queue.enqueue_labelled(teacher, torch.where(draw.used, draw.labels, -1))

    @torch.no_grad()
    def _teach(self, batch: Batch) -> Seen:
        """Labelled images too: L_aaco compares with the teacher's features of the same pixels."""
        seen: Seen = self.teacher(torch.cat((batch.images, *batch.unlabelled)))
        return seen

    def diagnostics(self) -> Mapping[str, float]:
        dead = {"dead_slots": float(self.dead)}
        return {**super().diagnostics(), **dead, **allocation_diagnostics(self.allocation)}

    def arrays(self) -> Mapping[str, Tensor]:
        return allocation_arrays(self.allocation, self.queue) if self.params.centers else {}

    def figures(
        self, arrays: Mapping[str, NDArray[Any]], diagnostics: Sequence[Mapping[str, float]]
    ) -> Mapping[str, Figure]:
        return {"centers": draw_allocation(arrays, self.task.classes)} if arrays else {}
