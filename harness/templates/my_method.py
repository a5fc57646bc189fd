"""MyMethod: say what the idea is, and cite the paper.

As it stands, a mean teacher labels weak views for a student that sees strong ones, as in FixMatch:
    L = L_sup + w mean(CE(student(strong(u)), argmax p) [max p >= confident]), p = softmax(teacher(u))
It trains and is fair as it is. Replace `training_loss` by yours, then what it needs.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from harness.api import (
    Alteration,
    Batch,
    ConsistencyParams,
    Loss,
    Method,
    Progress,
    Stage,
    Task,
    backbone,
    ema_decay,
    ema_update,
    hyper,
    pseudo_label,
    strong,
    teacher_of,
)


class MyMethodParams(ConsistencyParams):
    """Each hyper-parameter with its default, a line of text, its bounds, and what a search may try."""

    confident: float = hyper(0.8, "confidence from which a pixel counts", ge=0, le=1, search=(0.6, 0.95))
    decay: float = hyper(0.99, "limit of the teacher's decay", ge=0, le=1, search=(0.9, 0.99, 0.999), scale="choice")


class MyMethod(Method):
    """A student of strong views, and its average, which labels weak ones; the student is tested."""

    name = "my_method"
    version = 1  # raise it when the numbers change: runs of another version are other runs
    Params = MyMethodParams
    capturable = True  # no host copies in a step: it can be recorded as a CUDA graph
    engine_loss = True  # the labelled term is `self.labelled_loss`, which a suite can choose

    def __init__(self, task: Task, params: MyMethodParams) -> None:
        super().__init__(task)
        self.params = params
        self.student = backbone(task)  # first: equal seeds then give every method the same initial weights
        self.teacher = teacher_of(self.student)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What the tested network sees beyond the engine's augmentation; compared with what is seen in training."""
        return ("altered",)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """Numbers of the host that change from step to step."""
        return {"weight": self.params.weight(progress), "decay": ema_decay(progress.step, self.params.decay)}

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """The loss of one step: images [L + U, C, *size] -> scalar; the terms are recorded."""
        (weak,) = batch.unlabelled
        logits = self.student(torch.cat((batch.images, strong(weak))))
        labelled, rest = logits.tensor_split((len(batch.images),))
        supervised = self.labelled_loss(labelled, batch.labels)
        with torch.no_grad():
            target = pseudo_label(weak, self.teacher(weak))
        sure = (target.confidence >= self.params.confident).float()
        consistency = (sure * F.cross_entropy(rest, target.labels, reduction="none")).mean()
        total = supervised.total + progress["weight"] * consistency
        return Loss(total, {**supervised.terms, "consistency": consistency, "sure": sure.mean()})

    def after_step(self, stage: Stage, progress: Progress) -> None:
        """Teacher <- moving average of the student."""
        ema_update(self.teacher, self.student, progress["decay"])

    @property
    def predictor(self) -> nn.Module:
        """The network that is tested: images [N, C, *size] -> logits [N, n_classes, *size]."""
        return self.student

    @property
    def pseudo_label_network(self) -> nn.Module:
        """The network whose labels are learnt from; their quality is a curve of its own."""
        return self.teacher
