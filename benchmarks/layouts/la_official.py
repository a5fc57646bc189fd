"""The left atrium as the challenge distributes it: a folder per patient with NRRD files of whole volumes.

<ID>/lgemri.nrrd    image [X, Y, Z]
<ID>/laendo.nrrd    label [X, Y, Z]: 255 in the cavity of the left atrium, 0 elsewhere
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import look_for
from benchmarks.layouts.crops import Box, Crop, Grey
from benchmarks.layouts.files import inside
from benchmarks.layouts.volumes import label_problems, list_sources, patients_folder, patients_in, volume_problems
from harness.api.dataset import Case, CaseSource, LabelMap, NewScan, Split
from harness.api.errors import DataError
from harness.api.scans.geometry import Spacing, grid_problems, grid_warnings
from harness.api.scans.nrrd_file import read_nrrd
from harness.api.scans.pair import read_pair

IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"
OFFICIAL_SIGN = f"<ID>/{IMAGE} and <ID>/{LABEL} (also in '2018LA_Seg_Training Set/' and 'Training Set/')"
ATRIUM = 255
SPACING_MM: Spacing = (0.625, 0.625, 0.625)
SPACING_SOURCE = "the dataset's declaration (Xiong et al., MedIA 67, 2021), since the headers say nothing"
"""The challenge's headers hold identity directions throughout."""


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
        split = homes.get(patient, "train")
        yield from look_for(
            folder / patient, patient, split, partial(_patient_sources, patient, split, folder / patient, crop)
        )


def _patient_sources(patient: str, split: Split, folder: Path, crop: Crop) -> Iterator[CaseSource]:
    image, label = folder / IMAGE, folder / LABEL
    if problems := _missing(image, label):
        raise DataError("\n".join(problems))
    yield CaseSource(patient, patient, split, image, partial(_load, patient, split, image, label, crop))


def _missing(image: Path, label: Path) -> list[str]:
    missing = [path for path in (image, label) if not path.exists()]
    if len(missing) == 2:
        return [f"{image.parent}: missing patient, neither {IMAGE} nor {LABEL}; unpack the data again"]
    return [f"{path}: missing, its partner is there; unpack the data again" for path in missing]


def _load(patient: str, split: Split, image_path: Path, label_path: Path, crop: Crop) -> Case:
    image_path, label_path = inside(image_path), inside(label_path)
    pair = read_pair(read_nrrd, image_path, label_path)
    grey, marked = pair.image, pair.label
    problems = volume_problems(image_path, grey, label_path, marked) + label_problems(label_path, marked, (0, ATRIUM))
    if problems := problems or grid_problems(pair.image_geometry, pair.label_geometry):
        raise DataError("\n".join(problems))
    label = (marked == ATRIUM).astype(np.uint8)
    try:
        box = crop(patient, grey, label)
    except DataError as error:
        raise DataError(f"{image_path}: {error}") from None
    geometry = pair.image_geometry
    if geometry.unset and pair.label_geometry.unset:
        geometry = replace(geometry, spacing_mm=SPACING_MM, source=SPACING_SOURCE, doubt="")
    return Case(
        id=patient,
        patient=patient,
        split=split,
        image=np.ascontiguousarray(z_scored(grey)[box]),
        label=np.ascontiguousarray(label[box]),
        spacing_mm=geometry.spacing_mm,
        spacing_source=geometry.source if geometry.spacing_mm else None,
        warnings=grid_warnings(geometry, pair.label_geometry),
    )


def official_scan(grey: NDArray[Any], spacing_mm: Spacing | None, crop: Callable[[Grey], Box]) -> NewScan:
    """A volume without annotation, prepared as the annotated ones are: z-scored as a whole, then cropped."""
    if grey.min() == grey.max():
        raise DataError(f"every voxel is {grey.flat[0]:g}; replace the file")
    box = crop(grey)

    def restore(labels: LabelMap) -> LabelMap:
        whole = np.zeros(grey.shape, np.uint8)
        whole[box] = labels
        return whole

    other = spacing_mm is not None and not np.allclose(spacing_mm, SPACING_MM, rtol=0.1)
    resized = f"its voxels are {spacing_mm} mm and not {SPACING_MM}, as those learnt from; nothing was resampled"
    return NewScan(np.ascontiguousarray(z_scored(grey)[box]), spacing_mm, restore, (resized,) * other)


def z_scored(grey: NDArray[Any]) -> NDArray[np.float32]:
    """Mean 0 and standard deviation 1 over the whole volume, computed in double precision."""
    mean, deviation = grey.mean(dtype=np.float64), grey.std(dtype=np.float64)
    return np.asarray((grey - mean) / deviation, np.float32)
