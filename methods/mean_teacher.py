"""Mean teacher: Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017; for segmentation.

L = L_sup + w mean((p - p')^2), the mean over unlabelled images, classes and pixels, w = consistency x ramp; one student
forward of both streams. p' = softmax(teacher(x_u + n)), one pass, n = clip(sigma N(0, 1), -clip, clip); the teacher is
the student's average, theta' <- a theta' + (1 - a) theta with a = min(1 - 1 / (t + 1), decay), parameters only.

Formulas and defaults as in SSL4MIS, where the method's numbers on ACDC come from. As there the teacher stays in train
mode (dropout, batch statistics, buffers of its own), and the consistency is left out for the first 1,000 of 30,000
iterations (`consistency_start`). Deviations: the ramp is smooth unless `ramp_stairs` is set (200: SSL4MIS); the teacher
starts as a copy, which the first update makes it there.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from harness.api.consistency import ConsistencyParams, clipped_noise, ema_decay, ema_update, teacher_of
from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import backbone
from harness.api.params import hyper
from harness.api.progress import Progress


class MeanTeacherParams(ConsistencyParams):
    """Hyper-parameters of mean teacher; the defaults are SSL4MIS's."""

    consistency_start: float = hyper(1 / 30, "stage progress before which the weight is 0", ge=0, le=1)
    ema_decay: float = hyper(0.99, "limit of the decay per step", ge=0, le=1, search=(0.9, 0.99, 0.999), scale="choice")
    noise: float = hyper(0.1, "sigma of the teacher's input noise", ge=0, search=(0.02, 0.3), scale="log")
    noise_clip: float = hyper(0.2, "bound of that noise", ge=0)


class MeanTeacher(Method):
    """The student agrees with its own average; the student is tested."""

    name = "mean_teacher"
    capturable = True
    engine_loss = True
    paper = "Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017; as in SSL4MIS (Luo, 2020)"
    Params = MeanTeacherParams

    def __init__(self, task: Task, params: MeanTeacherParams) -> None:
        super().__init__(task)
        self.params = params
        self.student = backbone(task)
        self.teacher = teacher_of(self.student)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """w, 0 before its start, and the teacher's decay, t = 0 at the first step."""
        started = progress.stage >= self.params.consistency_start
        return {
            "consistency_weight": self.params.weight(progress) if started else 0.0,
            "ema_decay": ema_decay(progress.step, self.params.ema_decay),
        }

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """L_sup + w L_con; terms: ce, dice, consistency."""
        (unlabelled,) = batch.unlabelled
        logits = self.student(torch.cat((batch.images, unlabelled)))
        labelled, rest = logits.tensor_split((len(batch.images),))
        with torch.no_grad():
            target = self.teacher(clipped_noise(unlabelled, self.params.noise, self.params.noise_clip)).softmax(dim=1)
        supervised = self.labelled_loss(labelled, batch.labels)
        consistency = F.mse_loss(rest.softmax(dim=1), target)
        total = supervised.total + progress["consistency_weight"] * consistency
        return Loss(total, {**supervised.terms, "consistency": consistency})

    def after_step(self, stage: Stage, progress: Progress) -> None:
        ema_update(self.teacher, self.student, progress["ema_decay"])

    @property
    def predictor(self) -> nn.Module:
        """The student, as in SSL4MIS."""
        return self.student

    @property
    def pseudo_label_network(self) -> nn.Module:
        return self.teacher
