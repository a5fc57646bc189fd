"""UniMatch: Yang et al., Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023.

One network f, no teacher. Of each unlabelled image a weak view w and two strong ones s_i of the same geometry:
    labels     argmax f(w) of the training forward of [x; w], its probability the confidence; no gradient
    strong     s_i shows its partner's s_i inside box i; label and confidence there are the partner's f(w) in
               evaluation mode; f on [s_1; s_2]
    features   w decoded once more from encoder maps of which half the channels are dropped, on all five levels
    L = (L_x + 0.25 (L_s1 + L_s2) + 0.5 L_fp) / 2, L_x = L_sup of the labelled images; the others are Dice alone over
    pixels with confidence of at least 0.95
`variant: fixmatch` is L = (L_x + 0.5 L_s1) / 2 (Sohn et al., FixMatch, NeurIPS 2020, as UniMatch's paper reads it).
Strong views: brightness and contrast within 0.5 of 1 with chance 0.8, blur of sigma 0.1 to 2 with chance 0.5. Boxes:
chance 0.5, 2 to 40 % of the image, aspect ratio 0.3 to 1 / 0.3.

Formulas and defaults as in the authors' release for ACDC.
Deviations: the partner is the next unlabelled image of the batch, in the release one of another batch. The release
decodes perturbed labelled images too, which nothing reads but the decoder's batch statistics; here they are left out. A
box that would not fit is shortened; the release draws again. Jitter and blur are those of `harness.api.views`.
An own reading is 3D, for which the authors give no form: whole channels of the V-Net's maps are dropped, and a box has
2 to 40 % of the volume, the aspect ratio between its first two sides, the third between them.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.losses import masked_dice_loss
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.mixing import box_mask, partner
from harness.api.networks import backbone
from harness.api.params import Alteration, MethodParams, hyper
from harness.api.progress import Progress
from harness.api.views import Strength, strong

STRONG = Strength(brightness=0.5, contrast=0.5, jitter_probability=0.8, sigma_range=(0.1, 2.0), blur_probability=0.5)
BOX_PROBABILITY = 0.5
BOX_VOLUMES = (0.02, 0.4)
BOX_ASPECTS = (0.3, 1 / 0.3)


class UniMatchParams(MethodParams):
    """Hyper-parameters of UniMatch; the defaults are the release's."""

    variant: Literal["unimatch", "fixmatch"] = hyper("unimatch", "fixmatch: one strong view, no perturbed features")
    confident: float = hyper(0.95, "confidence from which a pixel counts", ge=0, le=1, search=(0.8, 0.99))
    strong_weight: float = hyper(0.5, "weight of the strong views together", ge=0, search=(0.1, 2.0), scale="log")
    feature_weight: float = hyper(0.5, "weight of perturbed features", ge=0, search=(0.1, 2.0), scale="log")
    feature_dropout: float = hyper(0.5, "share of channels dropped from each encoder map", ge=0, le=0.9)


def draw_boxes(count: int, size: Sequence[int], device: torch.device) -> Tensor:
    """Where each of `count` images shows its partner: bool [count, *size], nowhere for about half of them."""
    draws = torch.rand(3, count, device=device)
    volume = BOX_VOLUMES[0] + (BOX_VOLUMES[1] - BOX_VOLUMES[0]) * draws[1]
    aspect = BOX_ASPECTS[0] + (BOX_ASPECTS[1] - BOX_ASPECTS[0]) * draws[2]
    cube = volume ** (1 / len(size))  # sides of a box without aspect, over those of the image
    shares = (cube * aspect.sqrt(), cube / aspect.sqrt(), cube)
    sides = [(length * share).floor().clamp(1, length) for length, share in zip(size, shares, strict=False)]
    boxed = draws[0] < BOX_PROBABILITY
    places = torch.rand(count, len(size), device=device)
    return box_mask(places, torch.stack(sides, dim=1) * boxed.unsqueeze(1), size)


class UniMatch(Method):
    """Strong views and perturbed features must say what the weak view is sure of."""

    name = "unimatch"
    capturable = True
    engine_loss = True
    paper = "Yang et al., Revisiting Weak-to-Strong Consistency in Semi-Supervised Segmentation, CVPR 2023"
    Params = UniMatchParams

    def __init__(self, task: Task, params: UniMatchParams) -> None:
        super().__init__(task)
        self.params = params
        self.net = backbone(task)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        return ("mixed", "altered")

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """The variant's loss; terms: ce and dice (labelled), strong, features, mask_share (confident pixels)."""
        (weak,) = batch.unlabelled
        n_labelled, n_weak = len(batch.images), len(weak)
        given = self._labels_in_evaluation_mode(weak)
        features = self.net.encode(torch.cat((batch.images, weak)))
        if self.params.variant == "unimatch":
            share = self.params.feature_dropout  # of whole channels, each image's own
            perturbed = [torch.feature_dropout(each[n_labelled:], share, train=True) for each in features]
            features = [torch.cat(pair) for pair in zip(features, perturbed, strict=True)]
        logits = self.net.decoder(features)
        confidence, labels = logits[n_labelled:][:n_weak].detach().softmax(dim=1).max(dim=1)
        supervised = self.labelled_loss(logits[:n_labelled], batch.labels)
        strong_loss = self._strong_loss(weak, (confidence, labels), given)
        terms = {**supervised.terms, "strong": strong_loss}
        total = supervised.total + self.params.strong_weight * strong_loss
        sure = confidence >= self.params.confident
        if self.params.variant == "unimatch":
            answers = logits[n_labelled + n_weak :].softmax(dim=1)
            terms["features"] = masked_dice_loss(answers, labels, sure)
            total = total + self.params.feature_weight * terms["features"]
        return Loss(0.5 * total, {**terms, "mask_share": sure.float().mean()})

    def _strong_loss(self, weak: Tensor, own: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor]) -> Tensor:
        """Mean loss of the strong views; own, given: confidence and labels of weak views, outside and inside boxes."""
        views, targets = [], []
        for _ in range(2 if self.params.variant == "unimatch" else 1):
            boxes = draw_boxes(len(weak), weak.shape[2:], weak.device)
            view = strong(weak, STRONG)
            views.append(torch.where(boxes.unsqueeze(1), partner(view), view))
            targets.append([torch.where(boxes, partner(b), a) for a, b in zip(own, given, strict=True)])
        answers = self.net(torch.cat(views)).softmax(dim=1).split(len(weak))
        losses = [
            masked_dice_loss(answer, labels, confidence >= self.params.confident)
            for answer, (confidence, labels) in zip(answers, targets, strict=True)
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _labels_in_evaluation_mode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Confidence and labels [U, *size] of images [U, channels, *size], by running statistics, without dropout."""
        self.net.eval()
        confidence, labels = self.net(images).softmax(dim=1).max(dim=1)
        self.net.train()
        return confidence, labels

    @property
    def predictor(self) -> nn.Module:
        return self.net
