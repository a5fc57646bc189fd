"""Predicts new scans with finished runs: one, or several as an ensemble."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from harness.api.dataset import Dataset, LabelMap, NewScan
from harness.api.errors import DataError, UsageError
from harness.api.scans.geometry import Spacing
from harness.api.scans.values import require_real
from harness.api.strict import Strict
from harness.data.own.new_scan import new_scan
from harness.data.preprocess import predictor_image
from harness.evaluation.evaluate import predict_ensemble
from harness.prediction.overlay import overlay_png
from harness.prediction.scan_files import ScanFiles, label_name, list_scans, read_channels, write_labels
from harness.records.files import is_there, read_record, write_bytes, write_record
from harness.records.reader import RunRecord
from harness.records.schema import Engine, Run
from harness.suite.costs import task_of
from harness.train.environment import has_native_bfloat16, pick_device, prepare_device
from harness.train.weights import Predictor, load_predictor

log = logging.getLogger(__name__)

RECORD = "prediction.json"
OVERLAYS = "overlays"


class PredictedScan(Strict):
    """One label map, by the file name that it has.

    files: of the scan, by channel. voxels: of each class without background.
    """

    labels: str
    files: tuple[str, ...]
    voxels: dict[str, int]
    warnings: tuple[str, ...] = ()


class Prediction(Strict):
    """prediction.json: which runs predicted which scans, and what the labels mean."""

    schema_version: Literal[2] = 2
    runs: dict[str, str] = Field(description="what each is, by id; several are an ensemble")
    dataset: str
    classes: dict[str, int]
    scans: dict[str, PredictedScan] = Field(default_factory=dict)


@dataclass(frozen=True)
class Ensemble:
    """Networks of one task, ready to predict scans of its dataset.

    members: each with the settings of its run. run: the first one's. source: of its weights, and so of all: equal data
    are prepared alike. spacing_mm: voxel size of files whose header says none, along their axes.
    """

    members: Sequence[tuple[nn.Module, Engine]]
    run: Run
    source: Predictor
    device: torch.device
    spacing_mm: Spacing | None = None

    @classmethod
    def load(cls, records: Sequence[RunRecord], threads: int, spacing_mm: Spacing | None) -> Ensemble:
        """The last weights of finished runs. Raises as `load_predictor`.

        threads: of the CPU; nothing is charged, so there may be more than a run has.
        """
        device, members = pick_device(), []
        for record in records:
            engine = usable(record.run.engine, device)
            prepare_device(device, engine)
            predictor = load_predictor(record, device)
            members.append((predictor.network, engine))
        torch.set_num_threads(threads)
        return cls(members, records[0].run, predictor, device, spacing_mm)

    @property
    def dataset(self) -> Dataset:
        return self.source.dataset

    def predict(self, files: ScanFiles, destination: Path) -> PredictedScan:
        """Write the label map and the picture of one scan. Raises `DataError` with the file, `UsageError`."""
        scan = self._prepared(files)
        image = predictor_image(scan, self.run.preprocessing).to(self.device)
        task = task_of(self.dataset, self.run.preprocessing.size)
        labels = predict_ensemble(self.members, image, scan.image.shape[-3:], task)
        name, foreground = label_name(files), self.dataset.classes[1:]
        write_labels(scan.restore(labels), files.files[0], destination / name)
        write_bytes(destination / OVERLAYS / f"{files.id}.png", self._overlay(scan, labels, files.id))
        counts = np.bincount(labels.ravel(), minlength=len(foreground) + 1)[1:]
        for warning in scan.warnings:
            log.warning("%s: %s", files.files[0], warning)
        return PredictedScan(
            labels=name,
            files=tuple(path.name for path in files.files),
            voxels=dict(zip(foreground, counts.tolist(), strict=True)),
            warnings=scan.warnings,
        )

    def _prepared(self, files: ScanFiles) -> NewScan:
        if self.source.preparation is not None:
            return new_scan(files.files, self.source.preparation, self.spacing_mm)
        path = files.files[0]
        voxels, geometry = read_channels(files.files)
        require_real(voxels, path, "image")
        if not np.isfinite(voxels).all():
            raise DataError(f"{path}: holds values that are not finite; replace the file")
        try:
            return self.dataset.new_scan(voxels, geometry.spacing_mm, self.source.layout)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None

    def _overlay(self, scan: NewScan, labels: LabelMap, title: str) -> bytes:
        image = scan.image[0] if scan.image.ndim == 4 else scan.image
        sides = scan.spacing_mm or (1.0, 1.0, 1.0)
        if self.dataset.dimension == 3:  # [X, Y, Z], shown as axial slices
            image, labels, sides = image.transpose(), labels.transpose(), sides[::-1]
        if self.source.preparation is not None and self.source.preparation.orientation == "RAS":
            image, labels = (
                image[:, ::-1, ::-1],
                labels[:, ::-1, ::-1],
            )  # anterior above, the patient's right on the left
        return overlay_png(image, labels, self.dataset.classes[1:], sides[1] / sides[2], title)


def predict_scans(
    records: Sequence[RunRecord],
    images: Path,
    destination: Path,
    *,
    threads: int = 1,
    spacing_mm: Spacing | None = None,
) -> Prediction:
    """Write a label map and a picture of every scan in a folder.

    Args:
        records: Finished runs on one dataset. Several are an ensemble: the mean of their probabilities decides.
        images: Folder of scans, NAME.nii.gz, .nii, .nrrd, .mha or .mhd, with _0000, _0001, ... before the
            ending for several channels.
        destination: A new or empty folder, or one that the same runs wrote. Label maps get the names of their scans.
        threads: Of the CPU.
        spacing_mm: Voxel size of files whose header says none, along their axes, where scans are resampled.

    Returns:
        What prediction.json holds.

    Raises:
        UsageError: A run has not ended well, the runs do not go together, the dataset does not say how a new scan is
            prepared, or the destination holds something else.
        RecordError: Weights are missing or damaged.
        DataError: There is no scan, or some cannot be predicted, each named; the others were.
        DiskError: The destination cannot be written.
    """
    records = list({record.id: record for record in records}.values())  # one that is named twice weighs no more
    refuse_mixed(records)
    ensemble = Ensemble.load(records, threads, spacing_mm)
    scans = list_scans(images, ensemble.dataset.channels)
    prediction = Prediction(
        runs={record.id: record.label for record in records},
        dataset=ensemble.dataset.name,
        classes={name: value for value, name in enumerate(ensemble.dataset.classes)},
    )
    prediction.scans.update(earlier_scans(destination, prediction))
    log.info("%d scans, by %s", len(scans), " and ".join(prediction.runs.values()))
    problems: list[str] = []
    flawed = 0
    for scan in scans:
        try:
            predicted = ensemble.predict(scan, destination)
        except DataError as error:
            problems += str(error).splitlines()
            flawed += 1
            continue
        prediction.scans[scan.id] = predicted
        write_record(destination / RECORD, prediction)
        log.info("%s", destination / predicted.labels)
    if problems:
        count = f"{len(scans) - flawed} of {len(scans)} scans were predicted"
        raise DataError("\n".join([*problems, count]))
    return prediction


def refuse_mixed(records: Sequence[RunRecord]) -> None:
    """Raise `UsageError` unless the runs can be an ensemble."""
    first = records[0].run
    for record in records[1:]:
        other = record.run
        for what, mine, theirs in (
            ("dataset", first.dataset, other.dataset),
            ("preprocessing", first.preprocessing, other.preprocessing),
            ("window_stride", first.engine.window_stride, other.engine.window_stride),
            ("largest_component", first.engine.largest_component, other.engine.largest_component),
        ):
            if mine != theirs:
                names = f"{records[0].label} and {record.label}"
                raise UsageError(f"{names} are no ensemble, they differ in {what}: {mine} and {theirs}")


def earlier_scans(folder: Path, prediction: Prediction) -> Mapping[str, PredictedScan]:
    """What the same runs have predicted into a folder. Raises `UsageError` where it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    if is_there(folder / RECORD):
        earlier = read_record(folder / RECORD, Prediction)
        if earlier.runs == prediction.runs:
            return earlier.scans
    raise UsageError(f"--to {folder}: is not empty and no prediction by these runs; name a new folder")


def usable(engine: Engine, device: torch.device) -> Engine:
    """The settings of a forward pass on this device, which may not be that of the run."""
    slow = engine.precision == "bfloat16" and device.type == "cpu" and not has_native_bfloat16()
    if slow:
        log.warning("the run computed in bfloat16, which this CPU does not: float32 is used")
    return engine.model_copy(update={"compile": None, **({"precision": "float32"} if slow else {})})
