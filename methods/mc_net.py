"""MC-Net: Wu et al., Semi-supervised Left Atrium Segmentation with Mutual Consistency Training, MICCAI 2021.

One encoder, two decoders that differ in their upsampling; no teacher, no noise. p_i are the decoders' probabilities.
    L = lambda sum_i Dice_i (labelled images) + w L_con (all images), w = consistency x ramp
    L_con = sum over i != j of mean((p_i - s(p_j))^2), s(p) = p^(1/T) / (p^(1/T) + (1 - p)^(1/T))
`decoders: 3` is MC-Net+ (Wu et al., Mutual Consistency Learning, MedIA 81, 2022): a third one that repeats pixels.

Formulas as in the authors' 2D release: s is element-wise, not renormalised over the classes and not detached, so that
decoders learn through both roles; cross-entropy is logged and not trained. All decoders but the first, which is the
backbone's own, are dropped after training.

Deviations: the release's 2D Dice lacks the factor 2 of its numerator and has weight 1. Up to a constant that is the
ordinary Dice with weight 0.5, which is the default here; `dice_form: release` with `supervised_weight: 1` is the
release. Its ramp is a staircase of 200 (`ramp_stairs`) over 30,000 iterations, its learning rate constant: the ramp is
smooth by default, the rate is the engine's. On LA the release's Dice is the foreground's alone, without
squares; here it is that of all methods.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.consistency import ConsistencyParams
from harness.api.dataset import Task
from harness.api.losses import dice_loss, overlap
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.networks import backbone, second_decoder, third_decoder
from harness.api.params import hyper
from harness.api.progress import Progress


class MCNetParams(ConsistencyParams):
    """Hyper-parameters of MC-Net; the defaults are those for ACDC."""

    decoders: Literal[2, 3] = hyper(2, "3: MC-Net+")
    temperature: float = hyper(0.1, "T of the sharpening", ge=0.02, le=1, search=(0.05, 1.0), scale="log")
    supervised_weight: float = hyper(0.5, "lambda, weight of each decoder's Dice", gt=0)
    dice_form: Literal["standard", "release"] = hyper("standard", "release: without the factor 2 in the numerator")


class SharedEncoder(nn.Module):
    """A backbone and more decoders on its encoder, which differ in how they upsample alone.

    Two decoders are version 1 of the authors' release: 2,577,624 parameters in training in 2D, 12,347,716 in 3D. Three
    are version 2: 3,210,924 and 15,246,566. The first decoder is the backbone's own, so the network that is tested is
    the same as every other method's.
    """

    def __init__(self, task: Task, decoders: Literal[2, 3] = 2) -> None:
        super().__init__()
        self.backbone = backbone(task)
        self.others = nn.ModuleList(make(task) for make in (second_decoder, third_decoder)[: decoders - 1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, C, *size] -> the logits of each decoder, [N, n_classes, *size], the backbone's first."""
        features = self.backbone.encode(images)
        return [self.backbone.decoder(features), *(decoder(features) for decoder in self.others)]


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """p^(1/T) / (p^(1/T) + (1 - p)^(1/T)), element-wise; same shape.

    Written as sigmoid(logit(p) / T), which is equal, three times as fast as powers and has finite gradients everywhere:
    p is held 1e-7 away from 0 and 1, where powers of small T would underflow.
    """
    return torch.sigmoid(torch.logit(probabilities, eps=1e-7) / temperature)


def mutual_consistency(probabilities: Sequence[Tensor], temperature: float) -> Tensor:
    """Sum over all ordered pairs of the mean squared distance to the other's sharpened probabilities -> scalar."""
    sharp = [sharpen(each, temperature) for each in probabilities]
    pairs = permutations(range(len(sharp)), 2)
    return torch.stack([F.mse_loss(probabilities[i], sharp[j]) for i, j in pairs]).sum()


def release_dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """1 - sum(pg) / (sum(p^2) + sum(g^2) + 1e-10), mean over all classes: at best 0.5 for a class that is present."""
    intersection, squares = overlap(probabilities, labels)
    return (1.0 - intersection / (squares + 1e-10)).mean()


DICE_FORMS = {"standard": dice_loss, "release": release_dice_loss}


class MCNet(Method):
    """Decoders that must agree after sharpening; encoder and first decoder are tested."""

    name = "mc_net"
    capturable = True
    paper = "Wu et al., Semi-supervised Left Atrium Segmentation with Mutual Consistency Training, MICCAI 2021"
    Params = MCNetParams

    def __init__(self, task: Task, params: MCNetParams) -> None:
        super().__init__(task)
        self.params = params
        self.net = SharedEncoder(task, params.decoders)

    def schedules(self, stage: Stage, progress: Progress) -> Mapping[str, float]:
        return {"consistency_weight": self.params.weight(progress)}

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """Weighted Dice and L_con; terms: dice_1, dice_2, ..., consistency, ce (of decoder 1)."""
        n_labelled = len(batch.images)
        logits = self.net(torch.cat((batch.images, *batch.unlabelled)))
        probabilities = [each.softmax(dim=1) for each in logits]
        form = DICE_FORMS[self.params.dice_form]
        dice = [form(each[:n_labelled], batch.labels) for each in probabilities]
        consistency = mutual_consistency(probabilities, self.params.temperature)
        terms = {f"dice_{number}": each for number, each in enumerate(dice, 1)} | {"consistency": consistency}
        terms["ce"] = F.cross_entropy(logits[0][:n_labelled].detach(), batch.labels)
        supervised = self.params.supervised_weight * torch.stack(dice).sum()
        return Loss(supervised + progress["consistency_weight"] * consistency, terms)

    @property
    def predictor(self) -> nn.Module:
        """Encoder and first decoder: the same network as every other method's."""
        return self.net.backbone
