"""The labelled-only baseline: the labelled images alone.

Loss: 0.5 (cross-entropy + Dice), Dice with squared denominators over the whole batch, mean over all classes including
background: the supervised part of every semi-supervised method of the SSL4MIS lineage. The whole batch is labelled, as
in that lineage's baseline: twice the labelled images per step of a method that spends half a batch on unlabelled ones.

Deviations from the lineage: none in the loss; optimiser, schedule, augmentation and budget are the engine's. With
`strong` the images are jittered and blurred as ACTION's unlabelled ones are: the baseline with that augmentation.
"""

from torch import nn

from harness.api.dataset import Task
from harness.api.method import Batch, BatchPlan, Loss, Method, Stage
from harness.api.networks import backbone
from harness.api.params import Alteration
from harness.api.progress import Progress
from harness.api.views import StrongParams


class Supervised(Method):
    """Supervised training on the labelled subset alone."""

    name = "supervised"
    capturable = True
    engine_loss = True
    unit = True
    paper = "Ronneberger et al., U-Net, MICCAI 2015; in 3D Milletari et al., V-Net, 3DV 2016; as in SSL4MIS (Luo, 2020)"

    Params = StrongParams

    def __init__(self, task: Task, params: StrongParams) -> None:
        super().__init__(task)
        self.params = params
        self.net = backbone(task)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        return self.params.augmentation

    def batches(self, stage: Stage, batch_size: int) -> BatchPlan:
        return BatchPlan(labelled=batch_size, unlabelled=0)

    def training_loss(self, batch: Batch, stage: Stage, progress: Progress) -> Loss:
        return self.labelled_loss(self.net(self.params.augment(batch.images)), batch.labels)

    @property
    def predictor(self) -> nn.Module:
        return self.net
