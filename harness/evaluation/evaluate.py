"""Validations and the one test. Both run outside the clock and never touch the training's randomness."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from harness.api.dataset import LabelMap, Task
from harness.data.manifest import CaseInfo
from harness.data.preprocess import Preprocessed
from harness.evaluation.metrics import case_metrics, dice_by_class
from harness.evaluation.predict import keep_largest, predict_labels, predict_volume, require_monai
from harness.records.schema import Engine

if TYPE_CHECKING:
    import pandas as pd

MILLIMETRES = ("hd95_mm", "asd_mm", "assd_mm")
"""Empty where spacing is unknown; the type must not depend on that."""


@dataclass(frozen=True)
class Volume:
    """A case as networks see it, on the device.

    images: 2D: its slices at training size, [Z, C, h, w]; 3D: the volume at training resolution, [C, x, y, z].
    label:  at native resolution, on the host.
    """

    case: CaseInfo
    images: Tensor
    label: LabelMap


def load_volumes(data: Preprocessed, device: torch.device, patients: Collection[str] | None = None) -> list[Volume]:
    """The cases of these patients, or of all. Raises `ServiceError` where volumes could not be predicted."""
    if len(data.preprocessing.size) == 3:
        require_monai()
    # on another device images are copies, and labels become so: nothing may hold the host's mapping then
    return [
        Volume(case, images.to(device), (label if device.type == "cpu" else label.clone()).numpy())
        for case, images, label in data.volumes()
        if patients is None or case.patient in patients
    ]


def predict(network: nn.Module, volume: Volume, task: Task, engine: Engine, stride: tuple[int, ...] | None) -> LabelMap:
    """Label map at native resolution, of the case's shape; stride: of windows, in 3D."""
    shape, images = volume.case.shape, volume.images
    if task.dimension == 2:
        labels = predict_labels(network, images, shape, engine)
    else:
        labels = predict_volume(network, images, shape, task.size, stride, engine)
    return keep_largest(labels) if engine.largest_component else labels


def mean_dice(network: nn.Module, volumes: Sequence[Volume], task: Task, engine: Engine) -> dict[str, float]:
    """A validation: mean Dice over volumes by foreground class; torch's generators are left as they were.

    Empty where there are no volumes: a dataset without validation cases.
    """
    if not volumes:
        return {}
    devices = [volume.images.device for volume in volumes[:1] if volume.images.is_cuda]
    stride = engine.validation_stride or engine.window_stride
    with torch.random.fork_rng(devices=devices):
        scores = [dice_by_class(predict(network, v, task, engine, stride), v.label, task.n_classes) for v in volumes]
    return dict(zip(task.foreground, np.mean(scores, axis=0).tolist(), strict=True))


def predict_all(network: nn.Module, volumes: Sequence[Volume], task: Task, engine: Engine) -> dict[str, LabelMap]:
    """Label map of every volume by case id."""
    return {volume.case.id: predict(network, volume, task, engine, engine.window_stride) for volume in volumes}


def case_rows(
    predicted: Mapping[str, LabelMap], volumes: Sequence[Volume], task: Task, checkpoint: str
) -> pd.DataFrame:
    """All metrics: one row per case and class, marked with the checkpoint rule that picked the weights.

    predicted: what `predict_all` gave for `volumes`.
    """
    import pandas as pd

    rows = []
    for volume in volumes:
        case = volume.case
        metrics = case_metrics(predicted[case.id], volume.label, task.foreground, case.spacing_mm)
        for class_name, values in metrics.items():
            head = {"checkpoint": checkpoint, "case": case.id, "patient": case.patient, "phase": case.phase}
            rows.append(head | {"class_name": class_name} | asdict(values))
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(MILLIMETRES, "float64"))
