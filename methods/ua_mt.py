"""UA-MT: Yu et al., Uncertainty-aware Self-ensembling Model for Semi-supervised 3D Left Atrium Segm., MICCAI 2019.

L = L_sup + w L_con, w = consistency x ramp; one student forward of both streams; the teacher is the student's average.
    target       p' = softmax(teacher(x_u + n)), one stochastic pass, n = clip(sigma N(0, 1), -clip, clip)
    uncertainty  u = -sum_c q_c ln(q_c + 1e-6), q = mean of T stochastic teacher passes, each with its own noise
    mask         m = [u < H], H = (h + (1 - h) r(p)) S, r(p) = exp(-5 (1 - p)^2) of stage progress p
    consistency  L_con = sum(m |p - p'|^2) / (D sum(m) + 1e-16), on unlabelled images alone

Formulas as in the authors' release and its 2D port in SSL4MIS. The port keeps S = ln 2 and D = 2 of the binary task for
the four classes of ACDC, and so did every published ACDC number: the default. `entropy_scale: classes` scales both. As
in the release the teacher stays in train mode (dropout, batch statistics, buffers of its own), and the T passes run as
T / 2 forwards of a doubled batch, the batch that its normalisation sees.
Deviations: the ramp is smooth unless `ramp_stairs` is set (200: the port's floor(t / 150) of 30,000 iterations); the
teacher starts as a copy. On LA the release's Dice is the foreground's alone; here it is that of all methods. `strong`
gives the student's unlabelled images, and only these, ACTION's jitter and blur.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.api.consistency import ConsistencyParams, clipped_noise, ema_decay, ema_update, teacher_of
from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import backbone
from harness.api.params import Alteration, hyper
from harness.api.progress import Progress, ramp_up
from harness.api.views import StrongParams


class UAMTParams(ConsistencyParams, StrongParams):
    """Hyper-parameters of UA-MT; the defaults are the 2D port's."""

    ema_decay: float = hyper(0.99, "limit of the decay per step", ge=0, le=1, search=(0.9, 0.99, 0.999), scale="choice")
    passes: Annotated[int, Field(multiple_of=2)] = hyper(
        8, "stochastic passes T, even", ge=2, search=(2, 4, 8), scale="choice"
    )
    noise: float = hyper(0.1, "sigma of the teacher's input noise", ge=0, search=(0.02, 0.3), scale="log")
    noise_clip: float = hyper(0.2, "bound of that noise", ge=0)
    threshold_start: float = hyper(0.75, "h: threshold at progress 0 over its end", ge=0, le=1, search=(0.5, 1.0))
    entropy_scale: Literal["binary", "classes"] = hyper("binary", "S and D: ln 2 and 2, or ln C and C for C classes")


def entropy(probabilities: Tensor) -> Tensor:
    """-sum_c p_c ln(p_c + 1e-6) in nats: [N, C, *size] -> [N, *size]."""
    return -(probabilities * (probabilities + 1e-6).log()).sum(dim=1)


def threshold(start: float, progress: float, levels: int) -> float:
    """H in nats: from `start` x ln(levels) up to ln(levels) over the stage."""
    return (start + (1.0 - start) * ramp_up(progress)) * math.log(levels)


def masked_consistency(probabilities: Tensor, target: Tensor, mask: Tensor, divisor: float) -> Tensor:
    """L_con of two [N, C, *size] and a mask [N, *size] of 0 and 1 -> scalar; 0 where nothing is certain."""
    distance = (probabilities - target).square().sum(dim=1)
    return (mask * distance).sum() / (divisor * mask.sum() + 1e-16)


class UAMT(Method):
    """Mean teacher whose targets count only where it is certain; the student is tested."""

    name = "ua_mt"
    capturable = True
    engine_loss = True
    paper = "Yu et al., Uncertainty-aware Self-ensembling Model, MICCAI 2019"
    Params = UAMTParams

    def __init__(self, task: Task, params: UAMTParams) -> None:
        super().__init__(task)
        self.params = params
        self.levels = 2 if params.entropy_scale == "binary" else task.n_classes
        self.student = backbone(task)
        self.teacher = teacher_of(self.student)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """Jitter and blur of the student's images, if asked for; the noise is the teacher's alone."""
        return self.params.augmentation

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        """w, H and the teacher's decay, t = 0 at the first step."""
        return {
            "consistency_weight": self.params.weight(progress),
            "threshold": threshold(self.params.threshold_start, progress.stage, self.levels),
            "ema_decay": ema_decay(progress.step, self.params.ema_decay),
        }

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """L_sup + w L_con; terms: ce, dice, consistency, mask_share (of unlabelled pixels)."""
        (unlabelled,) = batch.unlabelled
        seen = torch.cat((batch.images, self.params.augment(unlabelled)))
        labelled, rest = self.student(seen).tensor_split((len(batch.images),))
        supervised = self.labelled_loss(labelled, batch.labels)
        target, uncertainty = self._teach(unlabelled)
        mask = (uncertainty < progress["threshold"]).to(target.dtype)
        consistency = masked_consistency(rest.softmax(dim=1), target, mask, self.levels)
        terms = {**supervised.terms, "consistency": consistency, "mask_share": mask.mean()}
        return Loss(supervised.total + progress["consistency_weight"] * consistency, terms)

    def after_step(self, stage: Stage, progress: Progress) -> None:
        ema_update(self.teacher, self.student, progress["ema_decay"])

    @property
    def predictor(self) -> nn.Module:
        """The student, as in the paper."""
        return self.student

    @property
    def pseudo_label_network(self) -> nn.Module:
        return self.teacher

    @torch.no_grad()
    def _teach(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Target probabilities [U, C, *size] and uncertainty [U, *size] of unlabelled images [U, channels, *size]."""
        target = self._stochastic_pass(images)
        twice = torch.cat((images, images))
        pairs = torch.stack([self._stochastic_pass(twice) for _ in range(self.params.passes // 2)])
        return target, entropy(torch.stack(pairs.mean(dim=0).chunk(2)).mean(dim=0))

    def _stochastic_pass(self, images: Tensor) -> Tensor:
        noisy = clipped_noise(images, self.params.noise, self.params.noise_clip)
        probabilities: Tensor = self.teacher(noisy).softmax(dim=1)
        return probabilities
