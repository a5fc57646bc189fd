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
- Strong views of volumes are as strong as those of slices, +-25 %, where the release's 3D code has +-2 %. On `la_mini`
  it makes no difference: action_pp's validation Dice is 22.0 +- 5.6 so and 22.7 +- 4.6 with a tenth (seeds 100 to 102).
- Mixing is cutmix, as the release's script has it. The release's deformation of images under fixed labels is left out.

Deviation from the engine, as in the release: Nesterov momentum in the last stage.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.api.consistency import ema_update, teacher_of
from harness.api.dataset import Task
from harness.api.method import Batch, Loss, Method, Stage
from harness.api.mixing import Mixed, classmix, cutmix, pseudo_label
from harness.api.params import Alteration, OptimiserSettings, hyper
from harness.api.progress import Progress, Scalar
from harness.api.staged import StagedParams, rate, share
from harness.api.views import FINE_TUNING, PRE_TRAINING, StrongParams
from methods.action_parts.contrast_net import ContrastNet, Seen
from methods.action_parts.neighbours import global_neighbours, local_neighbours
from methods.action_parts.pixel_contrast import AnatomicalParams, anatomical_contrast
from methods.action_parts.pseudo import unsupervised_loss
from methods.action_parts.representation import SampledFeatures
from methods.action_parts.temperature import Constant, Temperature

Taus = dict[str, Scalar]

AVERAGED: Mapping[str, tuple[str, ...]] = {
    "global": ("backbone.encoder", "whole"),
    "local": ("backbone", "whole", "local"),
    "anatomical": ("backbone", "representation"),
}
"""Parts of student and teacher that each stage trains and averages."""
PREDICTORS: Mapping[str, tuple[str, ...]] = {"global": ("whole",), "local": ("whole", "local"), "anatomical": ()}
"""Parts of the method that are the student's alone."""


class ActionParams(AnatomicalParams, StrongParams, StagedParams):
    """ACTION's; the defaults are the paper's, where it gives any, or the release's."""

    share_global: float = share(1 / 6, "stage i")
    share_local: float = share(1 / 6, "stage ii")
    share_anatomical: float = share(2 / 3, "stage iii")
    rate_global: float = rate("stage i")
    rate_local: float = rate("stage ii")
    rate_anatomical: float = rate("stage iii")
    ema_decay: float = hyper(
        0.99, "the teacher's decay per step", ge=0, le=1, search=(0.9, 0.99, 0.999), scale="choice"
    )
    bank: int = hyper(36, "images in each memory bank", ge=2)
    window_border: bool = hyper(True, "False: leave out the last window of each axis, as the 2D release")
    dimension: int = hyper(128, "d, of a pixel's representation", ge=2, search=(16, 128), scale="choice")
    strong: bool = hyper(True, "jitter and blur what the student sees; False: nothing but the weak view")
    mixing: Literal["classmix", "cutmix", "none"] = hyper("cutmix", "how unlabelled images are mixed in stage iii")
    confident: float = hyper(0.97, "theta: confidence that a pseudo label needs to weigh its image", ge=0, le=1)
    valid_above: float = hyper(0.7, "confidence from which a pseudo-labelled pixel joins L_anco", ge=0, le=1)
    unsupervised_weight: float = hyper(1.0, "weight of L_unsup", ge=0)
    contrast_weight: float = hyper(0.01, "weight of each contrast of stage iii", ge=0, search=(1e-3, 1.0), scale="log")
    student_temperature: Temperature = hyper(
        Constant(tau=0.1), "of the student's similarities in stages i and ii", cost=False
    )
    teacher_temperature: Temperature = hyper(Constant(tau=0.01), "of the teacher's", cost=False)
    anatomical_temperature: Temperature = hyper(Constant(tau=0.5), "of L_anco", cost=False)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        return super().augmentation if self.mixing == "none" else ("mixed", *super().augmentation)


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


class ACTION(Method):
    """Distillation of neighbourhoods, then pseudo labels and contrast of hard pixels; the student is tested.

    temperatures: the schedules that each stage uses, by the name of the parameter.
    counts:       terms of the last stage that are numbers of pixels; the last step's are in the buffer `used`.
    """

    name = "action"
    capturable = True
    engine_loss = True
    paper = "You et al., ACTION: Bootstrapping with Anatomical-aware Contrastive Distillation, IPMI 2023"
    Params = ActionParams
    temperatures: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "global": ("student", "teacher"),
        "local": ("student", "teacher"),
        "anatomical": ("anatomical",),
    }
    counts: ClassVar[tuple[str, ...]] = ("confident_pixels", "valid_pixels", "anatomical_queries")

    def __init__(self, task: Task, params: ActionParams) -> None:
        super().__init__(task)
        self.params = params
        self.student = ContrastNet(task, params.dimension, params.window_border)
        self.teacher = teacher_of(self.student)
        self.whole = global_neighbours(task, params.bank)
        self.local = local_neighbours(task, params.bank, params.window_border)
        self.used: Tensor = nn.Buffer(torch.zeros(len(self.counts)))
        self.stage_name, self.stage_progress = self.stages[0].name, 0.0

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self.params.stages()

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
        self.stage_progress = progress.stage

    def diagnostics(self) -> Mapping[str, float]:
        """The stage's temperatures, the mean cosine of two images in the global bank, pixels used by the last step."""
        units = F.normalize(self.whole.bank.entries[self.whole.bank.filled], dim=1)
        pairs = len(units) * (len(units) - 1)
        alike = (units @ units.t()).fill_diagonal_(0.0).sum().item() / max(pairs, 1)
        shown = self._temperatures(self.stage_name, self.stage_progress) | {"bank_similarity": alike}
        return shown | dict(zip(self.counts, self.used.tolist(), strict=True))

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        """The stage's loss; terms: its parts, and in the last stage how many pixels they used."""
        taus = {name: progress[f"temperature_{name}"] for name in self.temperatures[stage.name]}
        return self._fine_tune(batch, taus) if stage.name == "anatomical" else self._pre_train(batch, stage, taus)

    def _pre_train(self, batch: Batch, stage: Stage, taus: Taus) -> Loss:
        weak = torch.cat((batch.images, *batch.unlabelled))
        temperatures = (taus["student"], taus["teacher"])
        ours = self.student.backbone.encode(self.params.augment(weak, PRE_TRAINING))
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
        supervised = self.labelled_loss(logits[: len(batch.images)], batch.labels)
        terms = {"global": whole, "local": local, **supervised.terms}
        return Loss(supervised.total + whole + local, terms)

    def _fine_tune(self, batch: Batch, taus: Taus) -> Loss:
        params, (weak,) = self.params, batch.unlabelled
        taught = self._teach(batch)
        mixed = self._mix(pseudo_label(weak, taught.logits[-len(weak) :]))
        seen: Seen = self.student(torch.cat((batch.images, params.augment(mixed.images, FINE_TUNING))))
        labelled, rest = seen.logits.tensor_split((len(batch.images),))
        supervised = self.labelled_loss(labelled, batch.labels)
        unsupervised = unsupervised_loss(rest, mixed.labels, mixed.confidence, params.confident)
        labels = torch.cat((batch.labels, mixed.labels))
        trusted = torch.ones_like(batch.labels, dtype=torch.bool)
        valid = torch.cat((trusted, mixed.confidence >= params.valid_above))
        probabilities = seen.logits.detach().softmax(dim=1)
        pixels = self.student.pixels(seen.maps)
        contrast = self._contrast(FineTuning(batch.labels, pixels, probabilities, labels, valid, taught.maps), taus)
        total = supervised.total + params.unsupervised_weight * unsupervised + params.contrast_weight * contrast.total
        confident = (mixed.confidence >= params.confident).sum()
        terms = {**supervised.terms, "unsupervised": unsupervised, **contrast.terms}
        terms |= {"confident_pixels": confident.float(), "valid_pixels": valid.sum().float()}
        self.used = torch.stack([terms[name] for name in self.counts])
        return Loss(total, terms)

    def _contrast(self, step: FineTuning, taus: Taus) -> Loss:
        pixels, params, tau = step.pixels, self.params, taus["anatomical"]
        return anatomical_contrast(pixels, step.probabilities, step.labels, step.valid, tau, params)

    @torch.no_grad()
    def _teach(self, batch: Batch) -> Seen:
        """The teacher's view of images whose last ones are the unlabelled ones: here these alone."""
        seen: Seen = self.teacher(*batch.unlabelled)
        return seen

    def _mix(self, images: Mixed) -> Mixed:
        if self.params.mixing == "classmix":
            return classmix(*images, self.task.n_classes)
        return cutmix(*images) if self.params.mixing == "cutmix" else images

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
        self.stage_progress = float(state)
