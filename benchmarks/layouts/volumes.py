"""What both layouts of the left atrium share: flaws of one volume, patients that are missing or too many, lists."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import broken, contains
from benchmarks.layouts.files import inside, text_of
from harness.api.dataset import CaseSource, Split
from harness.api.errors import DataError

INNER = ("", "2018LA_Seg_Training Set", "Training Set")
"""Where the patients' folders lie below the folder that somebody names."""

LISTS: tuple[tuple[str, tuple[Split, ...]], ...] = (("train.list", ("train", "val")), ("test.list", ("test",)))


def patients_folder(root: Path, pattern: str) -> Path | None:
    """The folder of the patients' folders, any of which holds a file of that pattern: `root` or one in it."""
    return next((root / inner for inner in INNER if contains(root / inner, f"*/{pattern}")), None)


def patients_in(folder: Path, pattern: str, homes: Mapping[str, Split]) -> list[str]:
    """The published patients in their order, then others that `folder` holds."""
    present = {path.parent.name for path in folder.glob(f"*/{pattern}")}
    return [*homes, *sorted(present - homes.keys())]


def volume_problems(image_path: Path, image: NDArray[Any], label_path: Path, label: NDArray[Any]) -> list[str]:
    """What is wrong with the voxels of one volume before anything is computed from them, a line each."""
    pairs = ((image_path, image), (label_path, label))
    flat = [f"{path}: has {array.ndim} axes; a volume has three" for path, array in pairs if array.ndim != 3]
    if flat:
        return list(dict.fromkeys(flat))
    if image.shape != label.shape:
        return [
            f"{image_path}: image {image.shape} and label {label.shape} differ in shape (x, y, z); one of them is wrong"
        ]
    problems = []
    if not np.isfinite(image).all():
        problems.append(f"{image_path}: image holds values that are not finite; replace the file")
    elif image.min() == image.max():
        problems.append(f"{image_path}: every voxel is {image.flat[0]:g}; replace the file")
    if not label.any():
        problems.append(f"{label_path}: label is empty, there is no atrium in it; replace the file")
    return problems


def label_problems(path: Path, label: NDArray[Any], allowed: tuple[int, int]) -> list[str]:
    """Label values that are neither background nor atrium, in one line."""
    values = np.unique(label)
    wrong = ", ".join(f"{value:g}" for value in values[~np.isin(values, allowed)][:5])
    return [f"{path}: label value {wrong} is neither {allowed[0]} nor {allowed[1]}; correct the annotation"] * bool(
        wrong
    )


def list_sources(root: Path, homes: Mapping[str, Split]) -> Iterator[CaseSource]:
    """A source that raises for each line of train.list and test.list that contradicts the splits; none without them."""
    seen: dict[str, str] = {}
    for name, splits in LISTS:
        path = root / name
        if not path.exists():
            continue
        try:
            lines = text_of(inside(path)).splitlines()
        except DataError as error:
            yield broken(name, name, splits[0], path, str(error))
            continue
        for number, line in enumerate(lines, start=1):
            patient, at = line.strip(), f"{path}, line {number}"
            problem = _list_problem(at, patient, splits, homes, seen) if patient else None
            seen.setdefault(patient, at)
            if problem:
                yield broken(f"{name}:{number}", patient, splits[0], path, problem)


def _list_problem(
    at: str, patient: str, splits: tuple[Split, ...], homes: Mapping[str, Split], seen: Mapping[str, str]
) -> str | None:
    if patient not in homes:
        return f"{at}: {patient!r} is no patient of the published splits; restore the published lists"
    if patient in seen:
        return f"{at}: {patient} is listed at {seen[patient]} already; restore the published lists"
    if homes[patient] not in splits:
        return f"{at}: {patient} is published in the {homes[patient]} split, not here; restore the published lists"
    return None
