"""Validations and the one test. Both run outside the clock and never touch the training's randomness."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from harness.api.dataset import LabelMap, Task
from harness.data.preprocess import Preprocessed
from harness.evaluation.metric_rows import metric_rows
from harness.evaluation.metrics import Tolerance
from harness.evaluation.predict import (
    at_native,
    inference,
    keep_largest,
    predict_slices,
    predict_windows,
    slice_scores,
    window_scores,
)
from harness.records.manifest import CaseInfo
from harness.records.schema import Engine

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Volume:
    """A case as networks see it and as it is scored, on the device.

    images: 2D: its slices at training size, [Z, C, h, w]; 3D: the volume at training resolution, [C, x, y, z].
    labels: at native resolution, uint8.
    """

    case: CaseInfo
    images: Tensor
    labels: Tensor


def load_volumes(data: Preprocessed, device: torch.device, patients: Collection[str] | None = None) -> list[Volume]:
    """The annotated cases of these patients, or of all."""
    return [
        Volume(case, images.to(device), labels.to(device))
        for case, images, labels in data.volumes()
        if case.annotated and (patients is None or case.patient in patients)
    ]


def predict(
    network: nn.Module, volumes: Sequence[Volume], task: Task, engine: Engine, stride: tuple[int, ...] | None
) -> Iterator[Tensor]:
    """Label map of every volume at native resolution, on the device; stride: of windows, in 3D."""
    images = [volume.images for volume in volumes]
    if task.dimension == 2:
        predicted = predict_slices(network, images, engine)
    else:
        predicted = predict_windows(network, images, task, stride, engine)
    for volume, coarse in zip(volumes, predicted, strict=True):
        yield native_labels(coarse, volume.labels.shape, engine)


def native_labels(coarse: Tensor, shape: tuple[int, ...], engine: Engine) -> Tensor:
    """A predicted label map at native resolution, post-processed where the suite asks."""
    labels = at_native(coarse, shape)
    return torch.from_numpy(keep_largest(labels.cpu().numpy())).to(labels) if engine.largest_component else labels


def predict_ensemble(
    members: Sequence[tuple[nn.Module, Engine]], image: Tensor, shape: tuple[int, ...], task: Task
) -> LabelMap:
    """Label map of one scan in its native shape, on the host: the class of the highest mean probability of networks.

    members: networks of one task with the settings of their runs; the first one's decide on post-processing.
    image:   as predictors get it: slices [Z, C, h, w], or a volume [C, x, y, z].
    task:    at training resolution.
    """
    network, engine = members[0]
    if len(members) > 1:
        scores = sum(_scores(*member, image, task) for member in members)
        coarse = torch.as_tensor(scores).argmax(dim=1 if task.dimension == 2 else 0).to(torch.uint8)
    elif task.dimension == 2:
        (coarse,) = predict_slices(network, [image], engine)
    else:
        (coarse,) = predict_windows(network, [image], task, engine.window_stride, engine)
    return native_labels(coarse, shape, engine).cpu().numpy()


def _scores(network: nn.Module, engine: Engine, image: Tensor, task: Task) -> Tensor:
    """Probability of every class: [Z, n_classes, h, w] or [n_classes, x, y, z]."""
    if task.dimension == 2:
        return slice_scores(network, image, engine)
    with inference(network, image.device, engine.precision):
        return next(window_scores(network, [image], task, engine.window_stride, engine))


def mean_dice(network: nn.Module, volumes: Sequence[Volume], task: Task, engine: Engine) -> dict[str, float]:
    """A validation: mean Dice over volumes by foreground class; torch's generators are left as they were.

    Empty where there are no volumes.
    """
    if not volumes:
        return {}
    predicted = predict(network, volumes, task, engine, engine.validation_stride or engine.window_stride)
    pairs = zip(predicted, volumes, strict=True)
    dice = [dice_by_class(labels, volume.labels, task.n_classes) for labels, volume in pairs]
    mean = np.mean(torch.stack(dice).cpu().numpy(), axis=0)
    return dict(zip(task.foreground, mean.tolist(), strict=True))


def dice_by_class(prediction: Tensor, truth: Tensor, n_classes: int) -> Tensor:
    """Dice of the foreground classes, [n_classes - 1] float64, to the bit that of `case_metrics`."""
    both, predicted, true = (
        torch.bincount(labels.flatten(), minlength=n_classes)[1:]  # agreement on the background counts as 0 too
        for labels in (truth * (prediction == truth), prediction, truth)
    )
    total = predicted + true
    return torch.where(total > 0, 2.0 * both.double() / total, 1.0)


def predict_all(network: nn.Module, volumes: Sequence[Volume], task: Task, engine: Engine) -> dict[str, LabelMap]:
    """Label map of every volume by case id, on the host."""
    predicted = predict(network, volumes, task, engine, engine.window_stride)
    return {volume.case.id: labels.cpu().numpy() for volume, labels in zip(volumes, predicted, strict=True)}


def case_rows(
    predicted: Mapping[str, LabelMap], volumes: Sequence[Volume], task: Task, engine: Engine, checkpoint: str
) -> pd.DataFrame:
    """All metrics of what `predict_all` gave: a row per case and class."""
    truths = ((volume.case, volume.labels.cpu().numpy()) for volume in volumes)
    return metric_rows(predicted, truths, task.foreground, Tolerance(*engine.nsd_tolerance), checkpoint)
