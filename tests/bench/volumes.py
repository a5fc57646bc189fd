"""States that train on 3D patches: the step of a method without what cuts patches out of scans."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.budget.meter import Meter
from harness.data.sampler import Sampler, TrainingSet
from harness.registry import load_method
from harness.spec.records import Unit
from harness.spec.task import Task
from harness.train.state import TrainingState

CLASSES = ("background", "LA")


class PatchSampler(Sampler):
    """Patches that lie ready on the device, drawn as slices are and not augmented."""

    def _view(self, index: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.data.images[index], labels


def patch_state(unit: Unit, data: TrainingSet, device: torch.device) -> TrainingState:
    """As `build_state`, for a dataset of which nothing but the task is known."""
    kind = load_method(unit.method)
    torch.manual_seed(0)
    task = Task(unit.dataset.name, 3, data.images.shape[1], CLASSES, unit.preprocessing.size)
    method = kind.build(task, kind.Params.model_validate(unit.params)).to(device)
    meter = Meter(unit.budget, [stage.share for stage in method.stages])
    optimiser = method.optimiser(method.stages[0], unit.engine.optimiser)
    return TrainingState(unit, device, method, PatchSampler(data, 0, augment=False), meter, optimiser)
