"""ACDC as SSL4MIS (github.com/HiLab-git/SSL4MIS) distributes it.

data/patientXXX_frameYY.h5                   volumes: image [Z, H, W] float32 in [0, 1], label [Z, H, W] uint8
data/slices/patientXXX_frameYY_slice_Z.h5    slices of the training volumes, Z from 1
{train,val,test,train_slices}.list           the published splits (need not be there)

Frames are renamed frame01 and frame02; which is ED, and the voxel spacing, are not recorded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import broken, contains
from benchmarks.layouts.h5_file import read_h5
from harness.api.dataset import Case, CaseSource, LabelMap, Split
from harness.api.errors import DataError

LIST_FILES: tuple[tuple[str, Split], ...] = (
    ("train.list", "train"),
    ("train_slices.list", "train"),
    ("val.list", "val"),
    ("test.list", "test"),
)
ENTRY = re.compile(r"(?P<case>(?P<patient>patient\d{3})_frame\d{2})(?:_slice_(?P<slice>\d+))?(?:\.h5)?")
PHASES = {"frame01": "ED", "frame02": "ES"}
PHASE_SOURCE = "frame01 = ED (larger LV in 100 of 100 patients)"


@dataclass
class _Lists:
    """What the *.list files of an SSL4MIS folder say: slices of each volume, and entries that contradict the splits."""

    slices: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    contradictions: list[CaseSource] = field(default_factory=list)


def is_ssl4mis(root: Path) -> bool:
    """Whether `root` holds data/patient*_frame*.h5 or data/slices/."""
    return contains(root, "data/patient*_frame*.h5") or contains(root, "data/slices/patient*_slice_*.h5")


def ssl4mis_sources(root: Path, homes: Mapping[str, Split]) -> Iterator[CaseSource]:
    """Two volumes of each patient, and a source that raises for whatever is amiss.

    homes: the published split of each patient, in published order.
    """
    lists = _read_lists(root, homes)
    yield from lists.contradictions
    volumes = {match["case"]: path for match, path in _entries(root / "data")}
    slices: dict[str, dict[int, Path]] = defaultdict(dict)
    for match, path in _entries(root / "data" / "slices"):
        slices[match["case"]][int(match["slice"] or 0)] = path
    expected = [f"{patient}_{frame}" for patient in homes for frame in PHASES]
    for id_ in [*expected, *sorted((volumes.keys() | slices.keys()) - set(expected))]:
        patient, frame = id_.split("_")
        split = homes.get(patient, "train")
        if patient in homes and frame not in PHASES:
            where = volumes.get(id_) or min(slices[id_].values())
            yield broken(id_, patient, split, where, f"{where}: {patient} has frame01 and frame02 alone; take it out")
        elif id_ in volumes:  # some distributions hold the slices of these too; they are the same pixels
            yield CaseSource(id_, patient, split, volumes[id_], partial(_load_h5, id_, split, (volumes[id_],)))
        else:
            yield _slice_source(root / "data", id_, split, slices[id_], lists.slices.get(id_))


def _entries(folder: Path) -> Iterator[tuple[re.Match[str], Path]]:
    """HDF5 files named as SSL4MIS names them; other files are left alone."""
    for path in sorted(folder.glob("patient*.h5")):
        match = ENTRY.fullmatch(path.name)
        if match:
            yield match, path


def _read_lists(root: Path, homes: Mapping[str, Split]) -> _Lists:
    lists = _Lists()
    first_seen: dict[str, str] = {}
    for name, split in LIST_FILES:
        path = root / name
        if not path.is_file():
            continue
        complained: set[str] = set()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            match = ENTRY.fullmatch(line.strip())
            patient = match["patient"] if match else line.strip()
            if match and match["slice"]:
                lists.slices[match["case"]].add(int(match["slice"]))
            place = f"{path}, line {number}"
            first_seen.setdefault(patient, place)
            if patient and homes.get(patient) != split and patient not in complained:
                complained.add(patient)
                problem = _contradiction(place, patient, homes.get(patient), split, first_seen[patient])
                lists.contradictions.append(broken(f"{name}:{number}", patient, split, path, problem))
    return lists


def _contradiction(place: str, patient: str, home: Split | None, split: Split, first: str) -> str:
    if home is None:
        return f"{place}: {patient!r} is no patient of the published splits; take the line out"
    also = "" if first == place else f" and is listed at {first} too"
    return f"{place}: {patient} is published in the {home} split, not in {split}{also}; restore the published lists"


def _slice_source(data: Path, id_: str, split: Split, files: Mapping[int, Path], listed: set[int] | None) -> CaseSource:
    """A volume from its slices in z order; a source that raises if one is missing or beyond what the list names."""
    patient = id_.split("_", maxsplit=1)[0]
    pattern = data / "slices" / f"{id_}_slice_*.h5"
    if not files:
        where = data / f"{id_}.h5"
        return broken(id_, patient, split, where, f"{where}: missing, and there is no {pattern}; unpack the data again")
    wanted = listed or set(range(1, max(files) + 1))
    missing, extra = sorted(wanted - files.keys()), sorted(files.keys() - wanted)
    problems = [f"{data / 'slices' / f'{id_}_slice_{z}.h5'}: missing slice; unpack the data again" for z in missing]
    problems += [f"{files[z]}: no such slice in the published list; take it out" for z in extra]
    if problems:
        return broken(id_, patient, split, pattern, *problems)
    paths = tuple(files[z] for z in sorted(files))
    return CaseSource(id_, patient, split, pattern, partial(_load_h5, id_, split, paths), slices=paths)


def _load_h5(id_: str, split: Split, paths: Sequence[Path]) -> Case:
    """Read one volume file [Z, H, W], or slice files [H, W] in z order."""
    pairs, problems = [], []
    for path in paths:
        try:
            pairs.append(_read_pair(path))
        except DataError as error:
            problems.append(str(error))
    problems += _odd_shapes(paths, [image.shape for image, _ in pairs]) if not problems else []
    if problems:
        raise DataError("\n".join(problems))
    images, labels = zip(*pairs, strict=True)
    whole = len(paths) == 1 and images[0].ndim != 2
    patient, frame = id_.split("_")
    return Case(
        id=id_,
        patient=patient,
        split=split,
        image=images[0] if whole else np.stack(images),
        label=labels[0] if whole else np.stack(labels),
        phase=PHASES.get(frame),
        phase_source=PHASE_SOURCE,
    )


def _read_pair(path: Path) -> tuple[NDArray[Any], LabelMap]:
    image, label = read_h5(path)
    if image.shape != label.shape:
        raise DataError(f"{path}: image {image.shape} and label {label.shape} differ in shape; one of them is wrong")
    return image, label


def _odd_shapes(paths: Sequence[Path], shapes: Sequence[tuple[int, ...]]) -> list[str]:
    usual = max(shapes, key=shapes.count)
    return [
        f"{path}: slice of shape {shape} in a volume of {usual}; get the file again"
        for path, shape in zip(paths, shapes, strict=True)
        if shape != usual
    ]
