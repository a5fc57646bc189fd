"""ACTION: You et al., Bootstrapping with Anatomical-aware Contrastive Distillation, IPMI 2023.

Three stages share the budget. The teacher is the student's average and sees the weak view, the student a strong one of
the same geometry. p(j) = softmax_j(cos(z, a_j) / tau), a_j the teacher's vectors of earlier images.
    global      L = KL(p_t || p_s) of embeddings of the bottleneck; the encoder alone, no labels
    local       L = L_sup + L_global + L_local, L_local the same KL for windows of the logits, window by window
    anatomical  teacher's pseudo labels, mixed and strongly augmented: L = L_sup + L_unsup + 0.01 L_anco

Readings of paper and release:
- Half a batch is labelled in every stage, as in the release; the global stage reads its images alone. In the local one
  the student runs once, so its L_sup is the strong view's.
- The decay is 0.99 from the first step, for backbone and heads; the teacher runs in train mode with buffers of its own
  and gets no gradient. Fine-tuning starts with teacher := student.
- Windows are 64 wide and 32 apart in 256 x 256, 20 and 10 in 112 x 112 x 80, and are compared with those of the same
  place, where the release scrambles axes.
- In 3D the release pools the first decoder sum; here the bottleneck as in 2D, so that the global stage trains the
  encoder alone. V-Net drops whole channels there, for student and teacher apart.
- Mixing is cutmix, as the release's script has it. The release's deformation of images under fixed labels is left out.

Deviation from the engine, as in the release: Nesterov momentum in the last stage.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from harness.api.losses import supervised_loss
from harness.api.method import Batch, Loss, Stage
from harness.api.progress import Progress, Scalar
from methods.action_parts.action_params import ActionParams
from methods.action_parts.anatomical import anatomical_contrast
from methods.action_parts.contrast_net import Seen
from methods.action_parts.heads import SampledFeatures
from methods.action_parts.mixing import Mixed, classmix, cutmix
from methods.action_parts.pseudo import pseudo_label, unsupervised_loss
from methods.action_parts.three_stages import ThreeStages
from methods.shared.strong import FINE_TUNING, PRE_TRAINING, Strength, strong

Taus = dict[str, Scalar]


class FineTuning(NamedTuple):
    """What the contrasts of the last stage read; the labelled images come first everywhere.

    given:         [L, *size] the given labels.
    pixels:        the student's representations of the L + U images.
    probabilities: [L + U, n_classes, *size], the student's.
    labels:        [L + U, *size] given and pseudo labels; valid: bool, those to be trusted.
    taught:        the teacher's decoder maps of the images that it saw.
    """

    given: Tensor
    pixels: SampledFeatures
    probabilities: Tensor
    labels: Tensor
    valid: Tensor
    taught: list[Tensor]


class ACTION(ThreeStages):
    """Distillation of neighbourhoods, then pseudo labels and contrast of hard pixels."""

    name = "action"
    paper = "You et al., ACTION: Bootstrapping with Anatomical-aware Contrastive Distillation, IPMI 2023"
    Params = ActionParams

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """The stage's loss; terms: its parts, and in the last stage how many pixels they used."""
        taus = {name: progress[f"temperature_{name}"] for name in self.temperatures[stage.name]}
        return self._fine_tune(batch, taus) if stage.name == "anatomical" else self._pre_train(batch, stage, taus)

    def _pre_train(self, batch: Batch, stage: Stage, taus: Taus) -> Loss:
        weak = torch.cat((batch.images, *batch.unlabelled))
        temperatures = (taus["student"], taus["teacher"])
        ours = self.student.backbone.encode(self._strong(weak, PRE_TRAINING))
        with torch.no_grad():
            theirs = self.teacher.backbone.encode(weak)
            target = self.teacher.whole(theirs[-1])
        whole: Tensor = self.whole(self.student.whole(ours[-1]), target, temperatures)
        if stage.name == "global":
            return Loss(whole, {"global": whole})
        logits = self.student.backbone.decoder(ours)
        with torch.no_grad():
            target = self.teacher.regions(self.teacher.backbone.decoder(theirs)).flatten(2)
        local = self.local(self.student.regions(logits), target, temperatures)
        supervised = supervised_loss(logits[: len(batch.images)], batch.labels)
        terms = {"global": whole, "local": local, "ce": supervised.ce, "dice": supervised.dice}
        return Loss(supervised.total + whole + local, terms)

    def _fine_tune(self, batch: Batch, taus: Taus) -> Loss:
        params, (weak,) = self.params, batch.unlabelled
        taught = self._teach(batch)
        mixed = self._mix(Mixed(weak, *pseudo_label(taught.logits[-len(weak) :])))
        seen: Seen = self.student(torch.cat((batch.images, self._strong(mixed.images, FINE_TUNING))))
        labelled, rest = seen.logits.tensor_split((len(batch.images),))
        supervised = supervised_loss(labelled, batch.labels)
        unsupervised = unsupervised_loss(rest, mixed.labels, mixed.confidence, params.confident)
        labels = torch.cat((batch.labels, mixed.labels))
        trusted = torch.ones_like(batch.labels, dtype=torch.bool)
        valid = torch.cat((trusted, mixed.confidence >= params.valid_above))
        probabilities = seen.logits.detach().softmax(dim=1)
        pixels = self.student.pixels(seen.maps)
        contrast = self._contrast(FineTuning(batch.labels, pixels, probabilities, labels, valid, taught.maps), taus)
        total = supervised.total + params.unsupervised_weight * unsupervised + params.contrast_weight * contrast.total
        confident = (mixed.confidence >= params.confident).sum()
        terms = {"ce": supervised.ce, "dice": supervised.dice, "unsupervised": unsupervised, **contrast.terms}
        terms |= {"confident_pixels": confident.float(), "valid_pixels": valid.sum().float()}
        self.used = torch.stack([terms[name] for name in self.counts])
        return Loss(total, terms)

    def _contrast(self, step: FineTuning, taus: Taus) -> Loss:
        settings, tau = self.params.anatomical, taus["anatomical"]
        contrast = anatomical_contrast(step.pixels, step.probabilities, step.labels, step.valid, tau, settings)
        return Loss(contrast.loss, {"anatomical": contrast.loss, "anatomical_queries": contrast.used.float()})

    @torch.no_grad()
    def _teach(self, batch: Batch) -> Seen:
        """The teacher's view of images whose last ones are the unlabelled ones: here these alone."""
        seen: Seen = self.teacher(*batch.unlabelled)
        return seen

    def _mix(self, images: Mixed) -> Mixed:
        if self.params.mixing == "classmix":
            return classmix(*images, self.task.n_classes)
        return cutmix(*images) if self.params.mixing == "cutmix" else images

    def _strong(self, images: Tensor, strength: Strength) -> Tensor:
        return strong(images, strength) if self.params.strong else images
