"""ACDC as the challenge distributes it: NIfTI files and Info.cfg in a folder per patient.

patientXXX/patientXXX_frameYY.nii.gz       image, (X, Y, Z) on disk
patientXXX/patientXXX_frameYY_gt.nii.gz    label
patientXXX/Info.cfg                        the frame numbers of ED and ES
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import broken, contains, look_for
from benchmarks.layouts.files import inside, only_one, text_of
from harness.api.dataset import Case, CaseSource, NewScan, Split
from harness.api.errors import DataError
from harness.api.scans.geometry import Spacing, grid_problems, grid_warnings
from harness.api.scans.nifti_file import read_nifti
from harness.api.scans.pair import read_pair

FRAMES = ("frame01", "frame02")
CHALLENGE_TEST = frozenset(f"patient{number:03d}" for number in range(101, 151))
"""The challenge's own test patients: distributed beside the others and no part of the field's benchmark."""


def official_folder(root: Path) -> Path | None:
    """The folder that holds the patients' folders: `root` itself or its training/, with or without database/."""
    for folder in (root, root / "training", root / "database" / "training"):
        if contains(folder, "patient???/Info.cfg") or contains(folder, "patient???/patient???_frame??_gt.nii*"):
            return folder
    return None


def official_sources(base: Path, homes: Mapping[str, Split]) -> Iterator[CaseSource]:
    """Two frames of each patient in `base`, and a source that raises for whatever is amiss.

    homes: the published split of each patient, in published order.
    """
    extra = {folder.name for folder in base.glob("patient[0-9][0-9][0-9]")} - homes.keys() - CHALLENGE_TEST
    for patient in [*homes, *sorted(extra)]:
        split = homes.get(patient, "train")
        yield from look_for(base / patient, patient, split, partial(_patient_sources, base / patient, split))


def _patient_sources(folder: Path, split: Split) -> Iterator[CaseSource]:
    """Both annotated frames of a patient, renamed frame01 and frame02 in the order of their numbers.

    The numbers need not start at 1 (patient090: 04 and 11), and Info.cfg alone says which frame is ED.
    """
    patient = folder.name
    phases = _read_phases(folder)
    for name, number in zip(FRAMES, sorted(phases), strict=True):
        files = [_files(folder, number, ending) for ending in ("", "_gt")]
        missing = [
            f"{folder / f'{patient}_frame{number:02d}{ending}.nii.gz'}: missing; Info.cfg names frame {number}"
            for paths, ending in zip(files, ("", "_gt"), strict=True)
            if not paths
        ]
        if missing:
            yield broken(f"{patient}_{name}", patient, split, folder, *missing)
        else:
            load = partial(_load_official, f"{patient}_{name}", split, files[0], files[1], phases[number])
            yield CaseSource(f"{patient}_{name}", patient, split, files[0][0], load)


def _files(folder: Path, number: int, ending: str) -> list[Path]:
    """Files, or folders of a file's name, of one frame's image or label: .nii, .nii.gz, frame1, frame01."""
    name = re.compile(rf"{folder.name}_frame0*{number}{ending}\.nii(\.gz)?")
    return sorted(path for path in folder.glob(f"{folder.name}_frame*") if name.fullmatch(path.name))


def _read_phases(folder: Path) -> dict[int, str]:
    """Frame numbers of ED and ES from Info.cfg ("ED: 1", "ES: 12")."""
    path = inside(folder / "Info.cfg")
    if not folder.is_dir():
        raise DataError(f"{folder}: missing patient; unpack the data again")
    if not path.is_file():
        raise DataError(f"{path}: missing; it alone says which frames are ED and ES")
    fields = dict(re.findall(r"^\s*(\w+)\s*:\s*(.*?)\s*$", text_of(path), re.MULTILINE))
    try:
        numbers = {int(fields[phase]): phase for phase in ("ED", "ES")}
    except (KeyError, ValueError):
        raise DataError(
            f"{path}: has no frame number for ED or for ES; expected lines like 'ED: 1', 'ES: 12'"
        ) from None
    if len(numbers) != 2:
        raise DataError(f"{path}: ED and ES are the same frame; correct the numbers")
    return numbers


def _load_official(id_: str, split: Split, images: Sequence[Path], labels: Sequence[Path], phase: str) -> Case:
    """Read one frame as SSL4MIS wrote it: (Z, H, W) as SimpleITK gives it, intensities min-max scaled to [0, 1]."""
    image_path, label_path = only_one(images, "frame"), only_one(labels, "label")
    pair = read_pair(read_nifti, image_path, label_path)
    if pair.image.shape != pair.label.shape:
        shapes = f"image {pair.image.shape[::-1]} and label {pair.label.shape[::-1]}"
        raise DataError(f"{image_path}: {shapes} differ in shape (z, y, x); one of them is wrong")
    if problems := grid_problems(pair.image_geometry, pair.label_geometry):
        raise DataError("\n".join(problems))
    geometry = pair.image_geometry
    try:
        image = _scaled(np.ascontiguousarray(pair.image.transpose(2, 1, 0)))
    except DataError as error:
        raise DataError(f"{image_path}: {error}") from None
    return Case(
        id=id_,
        patient=id_.split("_", maxsplit=1)[0],
        split=split,
        image=image,
        label=np.ascontiguousarray(pair.label.transpose(2, 1, 0)),
        spacing_mm=geometry.spacing_mm and geometry.spacing_mm[::-1],
        spacing_source=geometry.source if geometry.spacing_mm else None,
        phase=phase,
        phase_source="Info.cfg",
        warnings=grid_warnings(pair.image_geometry, pair.label_geometry),
    )


def official_scan(voxels: NDArray[Any], spacing_mm: Spacing | None) -> NewScan:
    """A scan [X, Y, Z] without annotation, prepared as the annotated ones are: slices first, scaled to [0, 1]."""
    if voxels.shape[2] > min(voxels.shape[:2]):
        raise DataError(f"has shape {voxels.shape}; slices must lie along the third axis: turn it")
    return NewScan(
        image=_scaled(np.ascontiguousarray(voxels.transpose(2, 1, 0))),
        spacing_mm=spacing_mm and spacing_mm[::-1],
        restore=lambda labels: labels.transpose(2, 1, 0),
    )


def _scaled(grey: NDArray[Any]) -> NDArray[np.float32]:
    low, high = float(grey.min()), float(grey.max())
    if low == high:
        raise DataError(f"every voxel is {low:g}; replace the file")
    with np.errstate(invalid="ignore"):  # values that are not finite are reported with their file later on
        return ((grey.astype(np.float64) - low) / (high - low)).astype(np.float32)
