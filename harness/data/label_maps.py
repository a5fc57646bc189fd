"""Label maps that somebody predicted, a file for each test case: of a scan's format, or a NumPy array.

A file of a scan's format holds [X, Y, Z], also where cases are [Z, Y, X]; one's own scans are turned as they were when
they were prepared. An array has the axes of the case.
"""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.dataset import LabelMap
from harness.api.errors import DataError
from harness.api.reading import reading
from harness.api.scans.formats import READERS, read_scan
from harness.api.scans.geometry import Spacing
from harness.data.naming import some
from harness.data.own.scan import read_case
from harness.records.manifest import CaseInfo, Manifest, Preparation

SUFFIXES = (*READERS, ".npy")
ENDINGS = tuple(f"{mark}{suffix}" for mark in ("", "_pred") for suffix in SUFFIXES)
"""After the id of a case; the field's code writes _pred."""

NAMED = 5

SPACING = 1e-3
"""Relative difference of two voxel sizes that say the same in single precision."""


def read_label_maps(folder: Path, manifest: Manifest, dimension: int) -> dict[str, LabelMap]:
    """The label map of every test case by its id, in the shape of the case.

    folder: holds <case id>.nii.gz (or .nrrd, .mha, .npy) for each test case; other files are left alone.

    Raises `DataError`, which names all files that are missing, twice, unreadable, of another geometry, or hold
    something else than classes.
    """
    files = _find(folder, manifest.of("test"))
    labels: dict[str, LabelMap] = {}
    problems = []
    for case in manifest.of("test"):
        try:
            labels[case.id] = _read(files[case.id], case, manifest, dimension)
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError("\n".join(problems))
    return labels


def labels_sha256(labels: Mapping[str, LabelMap]) -> str:
    """A hash of all label maps, with their cases and shapes."""
    hasher = hashlib.sha256()
    for case, values in labels.items():
        hasher.update(f"{case} {values.shape}\n".encode())
        hasher.update(values.tobytes())
    return hasher.hexdigest()


def _find(folder: Path, cases: Sequence[CaseInfo]) -> dict[str, Path]:
    with reading(folder):
        names = sorted(path.name for path in folder.iterdir())
    files = {case.id: [folder / name for end in ENDINGS if (name := f"{case.id}{end}") in names] for case in cases}
    if missing := [case for case, own in files.items() if not own]:
        taken = {path.name for own in files.values() for path in own}
        others = [name for name in names if name not in taken]
        beside = f"; of no test case: {some(others)}" if others else ""
        raise DataError(
            f"{folder}: no label map for {len(missing)} of {len(cases)} test cases: {some(missing)}. "
            f"Each needs a file such as {missing[0]}.nii.gz ({', '.join(SUFFIXES)}){beside}"
        )
    if twice := [own for own in files.values() if len(own) > 1]:
        raise DataError(f"{twice[0][0]}: {twice[0][1].name} is of the same case; remove one of them")
    return {case: own[0] for case, own in files.items()}


def _read(path: Path, case: CaseInfo, manifest: Manifest, dimension: int) -> LabelMap:
    classes = manifest.classes
    with reading(path):
        values, spacing = _array(path, manifest.preparation, dimension)
        _refuse_other_grid(path, case, values.shape, spacing, manifest.track)
        if values.dtype.kind not in "biuf":
            raise DataError(f"{path}: holds {values.dtype}, not numbers of classes")
        rest = np.setdiff1d(values, np.arange(len(classes)))
        if rest.size:
            shown = ", ".join(f"{value:g}" for value in rest[:NAMED])
            named = ", ".join(f"{number} {name}" for number, name in enumerate(classes))
            raise DataError(f"{path}: holds {shown}; write the number of the class in each voxel: {named}")
        return np.ascontiguousarray(values, dtype=np.uint8)


def _array(path: Path, prepared: Preparation | None, dimension: int) -> tuple[NDArray[Any], Spacing | None]:
    """Values in the axes of the case, and voxel sizes where the file says some."""
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False), None
    if prepared is not None and prepared.orientation == "RAS":
        scan = read_case((path,), None)
        if not scan.oriented:
            raise DataError(f"{path}: its header says no directions, those of the dataset's scans do; copy theirs")
        values, spacing = scan.image[0], scan.spacing
    else:
        values, geometry = read_scan(path)
        spacing = geometry.spacing_mm
    axes = prepared.axes if prepared else (2, 1, 0) if dimension == 2 else (0, 1, 2)
    return values.transpose(axes), spacing and (spacing[axes[0]], spacing[axes[1]], spacing[axes[2]])


def _refuse_other_grid(
    path: Path, case: CaseInfo, shape: tuple[int, ...], spacing: Spacing | None, track: str | None
) -> None:
    larger = len(shape) == 3 and all(side >= own for side, own in zip(shape, case.shape, strict=True))
    if shape != case.shape and larger and track:
        raise DataError(
            f"{path}: has {_sides(shape)} voxels where case {case.id}, which is cut out of its scan ({track}), has "
            f"{_sides(case.shape)}; cut the label map likewise"
        )
    if shape != case.shape:
        turned = "; its axes are in another order" if shape in set(permutations(case.shape)) else ""
        raise DataError(
            f"{path}: has {_sides(shape)} voxels where the scan of {case.id} has {_sides(case.shape)}{turned}; bring "
            "it back to the scan's own grid"
        )
    if spacing and case.spacing_mm and not np.allclose(spacing, case.spacing_mm, rtol=SPACING, atol=0):
        raise DataError(
            f"{path}: has voxels of {_sides(spacing)} mm where the scan of {case.id} has {_sides(case.spacing_mm)}; "
            "bring it back to the scan's own grid"
        )


def _sides(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
