"""The left atrium as the challenge distributes it: a folder per patient with NRRD files of whole volumes.

<ID>/lgemri.nrrd    image [X, Y, Z]
<ID>/laendo.nrrd    label [X, Y, Z]: 255 in the cavity of the left atrium, 0 elsewhere
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import broken
from benchmarks.layouts.crops import Crop
from benchmarks.layouts.volumes import label_problems, list_sources, patients_folder, patients_in, volume_problems
from harness.api.dataset import Case, CaseSource, Split
from harness.api.errors import DataError

IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"
OFFICIAL_SIGN = f"<ID>/{IMAGE} and <ID>/{LABEL} (also in '2018LA_Seg_Training Set/' and 'Training Set/')"
ATRIUM = 255
TOLERANCE_MM = 1e-3

Directions = NDArray[np.float64]


def official_folder(root: Path) -> Path | None:
    """The folder that holds the patients' folders."""
    return patients_folder(root, IMAGE) or patients_folder(root, LABEL)


def official_sources(root: Path, homes: Mapping[str, Split], crop: Crop) -> Iterator[CaseSource]:
    """One volume of each patient, and a source that raises for whatever is amiss.

    homes: the split of each patient, in published order; crop: what is kept of each volume.
    """
    yield from list_sources(root, homes)
    folder = official_folder(root) or root
    for patient in patients_in(folder, "*.nrrd", homes):
        image, label = folder / patient / IMAGE, folder / patient / LABEL
        split = homes.get(patient, "train")
        problems = _missing(image, label)
        if problems:
            yield broken(patient, patient, split, folder / patient, *problems)
        else:
            yield CaseSource(patient, patient, split, image, partial(_load, patient, split, image, label, crop))


def _missing(image: Path, label: Path) -> list[str]:
    missing = [path for path in (image, label) if not path.is_file()]
    if len(missing) == 2:
        return [f"{image.parent}: missing patient, neither {IMAGE} nor {LABEL}; unpack the data again"]
    return [f"{path}: missing, its partner is there; unpack the data again" for path in missing]


def _load(patient: str, split: Split, image_path: Path, label_path: Path, crop: Crop) -> Case:
    """Read one patient, z-score the whole volume, then crop."""
    grey, directions = _read(image_path)
    marked, label_directions = _read(label_path)
    problems = volume_problems(image_path, grey, label_path, marked) + label_problems(label_path, marked, (0, ATRIUM))
    if not np.allclose(directions, label_directions, rtol=0, atol=TOLERANCE_MM):
        problems.append(f"{label_path}: other space directions than {image_path.name}; one of them is wrong")
    if problems:
        raise DataError("\n".join(problems))
    label = (marked == ATRIUM).astype(np.uint8)
    try:
        box = crop(patient, grey, label)
    except DataError as error:
        raise DataError(f"{image_path}: {error}") from None
    x, y, z = np.linalg.norm(directions, axis=1).round(6).tolist()
    return Case(
        id=patient,
        patient=patient,
        split=split,
        image=np.ascontiguousarray(z_scored(grey)[box]),
        label=np.ascontiguousarray(label[box]),
        spacing_mm=(x, y, z),
    )


def z_scored(grey: NDArray[Any]) -> NDArray[np.float32]:
    """Mean 0 and standard deviation 1 over the whole volume, computed in double precision."""
    mean, deviation = grey.mean(dtype=np.float64), grey.std(dtype=np.float64)
    return np.asarray((grey - mean) / deviation, np.float32)


def _read(path: Path) -> tuple[NDArray[Any], Directions]:
    """Voxels [X, Y, Z] and the step along each of their axes in mm, a row each."""
    import nrrd
    from nrrd.errors import NRRDError

    try:
        voxels, header = nrrd.read(str(path))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zlib.error, NRRDError) as error:
        raise DataError(f"{path}: cannot be read, truncated perhaps ({error}); get the file again") from error
    if voxels.ndim != 3:
        raise DataError(f"{path}: has {voxels.ndim} axes; a volume has three")
    return voxels, _directions(path, header)


def _directions(path: Path, header: Mapping[str, Any]) -> Directions:
    """From `space directions`, or `spacings` where the file has no space."""
    if "space directions" in header:
        found = np.asarray(header["space directions"], np.float64)
    else:
        found = np.diag(np.atleast_1d(np.asarray(header.get("spacings", []), np.float64)))
    if found.shape != (3, 3) or not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-9:
        raise DataError(f"{path}: space directions are not three independent steps in mm; mend the header")
    return found
