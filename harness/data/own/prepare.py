"""From a folder in nnU-Net's raw format to a prepared cache that a suite can name."""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from harness.api.dataset import Case, CaseSource, Split
from harness.api.errors import DataError, UsageError
from harness.api.reading import reading
from harness.api.scans.geometry import Spacing
from harness.data.cache import Cache
from harness.data.checks import read_checked
from harness.data.naming import some
from harness.data.own.description import Description, read_description
from harness.data.own.files import RawCase, list_cases
from harness.data.own.intensity import fit_channel, foreground_sample, normalise
from harness.data.own.scan import Scan, read_case
from harness.data.own.shape import Shape, choose_axes, grid_at, propose_size, target_spacing
from harness.data.own.splits import Splits, grouping, patients_of, split_cases
from harness.data.prepare import refuse_occupied, write_cache
from harness.records.manifest import Preparation
from harness.suite.prepared import describe, prepared_home

log = logging.getLogger(__name__)

NAME = re.compile("[a-z0-9][a-z0-9_-]*")
NNUNET_FOLDER = re.compile(r"Dataset\d{3}_(.+)")


@dataclass(frozen=True)
class Choices:
    """What a user says of a folder; None leaves it to the data.

    spacing_mm: of files whose geometry nobody set, along their axes.
    resample:   whether volumes are brought to the median voxel size.
    patient:    regular expression that finds the patient in a case's id.
    seed:       of the splits that are drawn.
    """

    dimension: Literal[2, 3] | None = None
    spacing_mm: Spacing | None = None
    resample: bool | None = None
    patient: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Folder:
    description: Description
    splits: Splits
    patients: Mapping[str, str]
    scans: dict[str, Scan]
    preparation: Preparation


def name_of(folder: Path) -> str:
    """The name of a dataset after its folder: Dataset501_Atria is atria. Raises `UsageError`."""
    stem = folder.resolve().name
    match = NNUNET_FOLDER.fullmatch(stem)
    name = re.sub("[^a-z0-9_-]", "_", (match[1] if match else stem).lower())
    if not NAME.fullmatch(name):
        raise UsageError(f"{folder}: {name!r} is no name for a dataset; give one: harness data prepare NAME --from DIR")
    return name


def prepare_scans(folder: Path, name: str, choices: Choices, destination: Path | None = None) -> Cache:
    """Read, check and write scans in nnU-Net's raw format as the prepared dataset `name`.

    destination: a new folder; None: that of `name` in $HARNESS_CACHE, where suites look.

    Raises `UsageError` for a choice that does not fit, `DataError` with all problems of the files at once or where
    `destination` holds other data, and `DiskError`.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a dataset: small letters, digits, - and _")
    destination = destination or prepared_home() / name
    refuse_occupied(destination)
    raw = list_cases(folder, description := read_description(folder))
    patients = patients_of(raw.cases, choices.patient)
    splits = split_cases(folder, raw, patients, name, choices.seed)
    for line in (*raw.notes, *splits.notes, *(grouping(raw.cases, patients) if choices.patient else [])):
        log.info(line)
    files = {case.id: case for case in raw.cases if case.id in splits.of_case}
    scans = _read_all(files, choices, len(description.classes))
    read = _Folder(description, splits, patients, scans, _prepare(description, splits, scans, choices))
    dataset = describe(name, read.preparation, description.classes, splits.patients, splits.unlabelled)
    checked = read_checked(dataset, list(_sources(read, files)))
    if splits.unlabelled:
        checked = replace(checked, warnings=(_without_labels(splits), *checked.warnings))
    cache = write_cache(dataset, "nnunet_raw", folder, checked, destination, read.preparation)
    for line in _summary(cache, name):
        log.info(line)
    return cache


def _read_all(files: Mapping[str, RawCase], choices: Choices, n_classes: int) -> dict[str, Scan]:
    """Every case. Raises one `DataError` for all files that cannot be read, or hold values without a name."""
    scans, problems = {}, []
    for case in files.values():
        try:
            with reading(case.images[0]):
                scan = scans[case.id] = read_case(case.images, case.label, choices.spacing_mm)
            if scan.label is not None and (value := scan.label.max()) >= n_classes:
                problems.append(
                    f"{case.label}: holds {value}, no name in dataset.json; name it, or mend the annotation"
                )
        except DataError as error:
            problems += str(error).splitlines()
    if problems:
        raise DataError("\n".join([f"{len(problems)} problem(s), nothing was prepared", *problems]))
    return scans


def _prepare(description: Description, splits: Splits, scans: Mapping[str, Scan], choices: Choices) -> Preparation:
    """What is done to all scans, fitted on the training split alone. Raises `DataError` where it cannot be done."""
    training = [scan for id_, scan in scans.items() if splits.of_case[id_] == "train"]
    spacings = [scan.spacing for scan in training]
    dimension, axes = choose_axes([_shape(scan) for scan in training], spacings, choices.dimension)
    spacing = target_spacing(spacings, choices.resample) if dimension == 3 else None
    if spacing and (unknown := [id_ for id_, scan in scans.items() if scan.spacing is None]):
        raise DataError(
            f"{some(unknown)}: voxel size unknown, and volumes are brought to {spacing} mm; set it in the header, or "
            "give --spacing-mm or --no-resample"
        )
    shapes = [grid_at(_shape(scan), scan.spacing, spacing) or _shape(scan) for scan in training]
    ordered = [(shape[axes[0]], shape[axes[1]], shape[axes[2]]) for shape in shapes]
    with_labels = [(scan.image, scan.label) for scan in training if scan.label is not None]
    return Preparation(
        source="nnunet_raw",
        file_ending=description.file_ending,
        dimension=dimension,
        orientation="RAS" if any(scan.oriented for scan in scans.values()) else "stored",
        axes=axes,
        channels=tuple(
            fit_channel(name, [foreground_sample(image[number], label) for image, label in with_labels])
            for number, name in enumerate(description.channels)
        ),
        spacing_mm=spacing,
        size=propose_size(ordered, spacing or next(iter(spacings)), dimension),
        patient=choices.patient,
    )


def _shape(scan: Scan) -> Shape:
    x, y, z = scan.image.shape[1:]
    return x, y, z


def _sources(folder: _Folder, files: Mapping[str, RawCase]) -> Iterator[CaseSource]:
    for id_, case in files.items():
        patient, split = folder.patients[id_], folder.splits.of_case[id_]
        yield CaseSource(id_, patient, split, case.images[0], partial(_load, folder, id_, patient, split))


def _load(folder: _Folder, id_: str, patient: str, split: Split) -> Case:
    """The case of a scan, which is given up: no more than a copy of each is in memory."""
    scan, preparation = folder.scans.pop(id_), folder.preparation
    warnings = list(scan.warnings)
    if preparation.orientation == "RAS" and not scan.oriented:
        warnings.append("its header says no directions, those of others do: it may lie otherwise than they")
    return as_case(scan, preparation, id_, patient, split, tuple(warnings))


def as_case(
    scan: Scan, preparation: Preparation, id_: str, patient: str, split: Split, warnings: tuple[str, ...] = ()
) -> Case:
    """A scan as a dataset's preparation has it. Raises `DataError` where it has no contrast."""
    axes, grid = preparation.axes, grid_at(_shape(scan), scan.spacing, preparation.spacing_mm)
    channels = zip(preparation.channels, scan.image, strict=True)
    image = np.stack([normalise(channel, grey).transpose(axes) for channel, grey in channels])
    label = np.zeros(_shape(scan), np.uint8) if scan.label is None else scan.label
    spacing = scan.spacing
    return Case(
        id=id_,
        patient=patient,
        split=split,
        image=np.ascontiguousarray(image if len(image) > 1 else image[0]),
        label=np.ascontiguousarray(label.transpose(axes)),
        spacing_mm=None if spacing is None else (spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]),
        spacing_source=scan.source or None,
        warnings=warnings,
        annotated=scan.label is not None,
        grid=grid,
    )


def _without_labels(splits: Splits) -> str:
    train = len(splits.patients["train"])
    return (
        f"{len(splits.unlabelled)} of {train} training patients have no labels: they are never labelled ones, "
        "and the quality of pseudo-labels is not known on them (it is measured on the other unlabelled ones, if any)"
    )


def _summary(cache: Cache, name: str) -> Iterator[str]:
    manifest = cache.manifest
    preparation = manifest.preparation
    if preparation is None:  # another process wrote it first: then it is the same
        return
    for channel in preparation.channels:
        numbers = channel.model_dump(exclude={"name", "rule"}, exclude_none=True)
        text = ", ".join(f"{key} {value:g}" for key, value in numbers.items())
        yield f"channel {channel.name}: {channel.rule}{f' ({text})' if text else ''}"
    spacing = preparation.spacing_mm
    left = "each scan keeps its voxel size" if spacing is None else f"volumes are brought to {spacing} mm"
    yield f"{preparation.dimension}D, axes {preparation.orientation}; {left}; metrics are native"
    size = f"{{size: {list(preparation.size)}{', resize: area' if preparation.dimension == 2 else ''}}}"
    yield f"in a suite:\n  dataset: {{prepared: {name}}}\n  preprocessing: {size}"
