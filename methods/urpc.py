"""URPC: Luo et al., Semi-Supervised Medical Segmentation via Uncertainty Rectified Pyramid Consistency, MICCAI 2021.

One network; heads on the decoder's maps at 1/8, 1/4 and 1/2 of the resolution, brought to full size, beside its own
output. p_i are the four probabilities, m their mean, v_i = sum_c m (ln m - ln p_i) of a pixel:
    L = mean_i L_sup(z_i) (labelled images) + w mean_i L_i (unlabelled images), w = consistency x ramp
    L_i = mean((m - p_i)^2 e^-v_i) / (mean(e^-v_i) + 1e-8) + mean(v_i)
Gradients flow through m too. The heads are dropped after training.

Formulas and defaults as in SSL4MIS, where the method's numbers on ACDC come from: conv3x3 heads, nearest-neighbour
resizing, and a perturbation of what a head reads, from coarse to fine: dropout of 0.5; the pixels of highest mean
activation set to 0, those above U(0.7, 0.9) of the image's maximum; x (1 + U(-0.3, 0.3)), one noise for all images.
Deviations: the ramp is smooth unless `ramp_stairs` is set (200: SSL4MIS). Logarithms come from the logits, where the
port takes those of rounded probabilities; ln m and v_i stay finite.
An own reading is 3D, where the paper's network is a 3D U-Net: 1x1x1 heads on the V-Net's sums of 128, 64 and 32
channels, trilinear resizing.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.consistency import ConsistencyParams
from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import backbone
from harness.api.progress import Progress

PYRAMID = (128, 64, 32)
"""Channels of the maps that get a head, coarse to fine."""


class Pyramid(nn.Module):
    """A backbone and heads on coarser maps of its decoder."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.backbone = backbone(task)
        flat = task.dimension == 2
        self.heads = nn.ModuleList(
            nn.Conv2d(width, task.n_classes, kernel_size=3, padding=1) if flat else nn.Conv3d(width, task.n_classes, 1)
            for width in PYRAMID
        )
        self.dropout = nn.Dropout(0.5)
        self.resizing = "nearest" if flat else "trilinear"

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, C, *size] -> four logits [N, n_classes, *size], the backbone's own first, then fine to coarse."""
        decoder = self.backbone.decoder
        maps = decoder.maps(self.backbone.encode(images))
        coarse, middle, fine = (maps[decoder.channels.index(width)] for width in PYRAMID)
        perturbed = (self.dropout(coarse), without_peaks(middle), with_noise(fine))
        logits = [decoder.logits(maps)]
        for head, features in reversed(list(zip(self.heads, perturbed, strict=True))):
            answer = head(features).to(logits[0].dtype)  # float32 under autocast, as the backbone's own
            logits.append(F.interpolate(answer, images.shape[2:], mode=self.resizing))
        return logits


def without_peaks(features: Tensor) -> Tensor:
    """0 where the mean over channels of [N, C, *size] reaches U(0.7, 0.9) of the image's maximum, one draw for all."""
    attention = features.mean(dim=1, keepdim=True)
    share = 0.7 + 0.2 * torch.rand((), device=features.device)
    return features * (attention < share * attention.amax(tuple(range(1, features.ndim)), keepdim=True))


def with_noise(features: Tensor) -> Tensor:
    """Each value times 1 + U(-0.3, 0.3), the same for all images of [N, C, *size]."""
    noise = torch.rand(features.shape[1:], device=features.device)
    return features * (0.7 + 0.6 * noise)


def pyramid_consistency(logits: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean of L_i over several logits [U, n_classes, *size], and the mean uncertainty of all v_i -> two scalars."""
    logs = torch.stack([each.log_softmax(dim=1) for each in logits])
    log_mean = logs.logsumexp(dim=0) - math.log(len(logs))
    uncertainty = (log_mean.exp() * (log_mean - logs)).sum(dim=2, keepdim=True)
    certainty = (-uncertainty).exp()
    axes = tuple(range(1, logs.ndim))
    distance = ((log_mean.exp() - logs.exp()).square() * certainty).mean(axes)
    rectified = distance / (certainty.mean(axes) + 1e-8)
    return (rectified + uncertainty.mean(axes)).mean(), uncertainty.mean()


class URPC(Method):
    """Predictions of four scales agree with their mean, less where they differ; the finest one is tested."""

    name = "urpc"
    capturable = True
    engine_loss = True
    paper = "Luo et al., Semi-Supervised Segmentation via Uncertainty Rectified Pyramid Consistency, MICCAI 2021"
    Params = ConsistencyParams

    def __init__(self, task: Task, params: ConsistencyParams) -> None:
        super().__init__(task)
        self.params = params
        self.net = Pyramid(task)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        return {"consistency_weight": self.params.weight(progress)}

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """All L_sup and w L_i; terms: ce and dice (finest scale), coarse (others), consistency, uncertainty."""
        n_labelled = len(batch.images)
        logits = self.net(torch.cat((batch.images, *batch.unlabelled)))
        supervised = [self.labelled_loss(each[:n_labelled], batch.labels) for each in logits]
        totals = torch.stack([each.total for each in supervised])
        consistency, uncertainty = pyramid_consistency([each[n_labelled:] for each in logits])
        terms = {**supervised[0].terms, "coarse": totals[1:].mean()}
        terms |= {"consistency": consistency, "uncertainty": uncertainty}
        return Loss(totals.mean() + progress["consistency_weight"] * consistency, terms)

    @property
    def predictor(self) -> nn.Module:
        """The network without its heads."""
        return self.net.backbone
