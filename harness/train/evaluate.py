"""Validation looks and the one test. Runs outside the clock and never touches the training's randomness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from harness.data.resize import resize_images
from harness.metrics import LabelMap, case_metrics, dice_by_class
from harness.predict import predict_labels
from harness.spec.dataset import Case
from harness.spec.records import Engine, Preprocessing
from harness.spec.task import Task

if TYPE_CHECKING:
    import pandas as pd

MILLIMETRES = ("hd95_mm", "asd_mm", "assd_mm")
"""Empty where spacing is unknown; the type must not depend on that."""


@dataclass(frozen=True)
class Volume:
    """A case with its slices at training size on the device: [Z, C, h, w]."""

    case: Case
    images: Tensor


def load_volumes(cases: Sequence[Case], preprocessing: Preprocessing, device: torch.device) -> list[Volume]:
    """Resize every case once."""
    size = (preprocessing.size[0], preprocessing.size[1])
    return [
        Volume(case, resize_images(torch.from_numpy(case.image).to(device)[:, None], size, preprocessing.resize))
        for case in cases
    ]


def predict(network: nn.Module, volume: Volume, engine: Engine) -> LabelMap:
    """Label map [Z, H, W] at native resolution."""
    shape = volume.case.label.shape
    return predict_labels(
        network,
        volume.images,
        (shape[0], shape[1], shape[2]),
        precision=engine.precision,
        channels_last=engine.channels_last,
    )


def mean_dice(network: nn.Module, volumes: Sequence[Volume], task: Task, engine: Engine) -> dict[str, float]:
    """Mean Dice over volumes by foreground class; torch's generators are left as they were."""
    devices = [volume.images.device for volume in volumes[:1] if volume.images.is_cuda]
    with torch.random.fork_rng(devices=devices):
        scores = [dice_by_class(predict(network, v, engine), v.case.label, task.n_classes) for v in volumes]
    return dict(zip(task.foreground, np.mean(scores, axis=0).tolist(), strict=True))


def predict_all(network: nn.Module, volumes: Sequence[Volume], engine: Engine) -> dict[str, LabelMap]:
    """Label map of every volume by case id."""
    return {volume.case.id: predict(network, volume, engine) for volume in volumes}


def case_rows(predicted: Mapping[str, LabelMap], volumes: Sequence[Volume], task: Task, selection: str) -> pd.DataFrame:
    """All metrics: one row per case and class, marked with the selection rule that picked the weights.

    predicted: what `predict_all` gave for `volumes`.
    """
    import pandas as pd

    rows = []
    for volume in volumes:
        case = volume.case
        metrics = case_metrics(predicted[case.id], case.label, task.foreground, case.spacing_mm)
        for class_name, values in metrics.items():
            head = {"selection": selection, "case": case.id, "patient": case.patient, "phase": case.phase}
            rows.append(head | {"class_name": class_name} | asdict(values))
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(MILLIMETRES, "float64"))
