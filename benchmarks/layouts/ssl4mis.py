"""ACDC as SSL4MIS (github.com/HiLab-git/SSL4MIS) distributes it.

data/patientXXX_frameYY.h5                   volumes: image [Z, H, W] float32 in [0, 1], label [Z, H, W] uint8
data/slices/patientXXX_frameYY_slice_Z.h5    slices of the training volumes, Z from 1 (or 0)
{train,val,test,train_slices}.list           the published splits (need not be there)

Frames are renamed frame01 and frame02, here if not before; which is ED, and the voxel spacing, are not recorded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.layouts import broken, contains
from benchmarks.layouts.files import inside, only_one, text_of
from benchmarks.layouts.h5_file import read_h5
from benchmarks.layouts.ssl4mis_names import ENTRY, FROM_ZERO, OWN_NUMBERS, Frame, Names, own_frames, slice_problems
from harness.api.dataset import Case, CaseSource, LabelMap, Split
from harness.api.errors import DataError

LIST_FILES: tuple[tuple[str, Split], ...] = (
    ("train.list", "train"),
    ("train_slices.list", "train"),
    ("val.list", "val"),
    ("test.list", "test"),
)
PHASES = {"frame01": "ED", "frame02": "ES"}
PHASE_SOURCE = "frame01 = ED (larger LV in 100 of 100 patients)"


def is_ssl4mis(root: Path) -> bool:
    """Whether `root` holds data/patient*_frame*.h5 or data/slices/."""
    return contains(root, "data/patient*_frame*.h5") or contains(root, "data/slices/patient*_slice_*.h5")


def ssl4mis_sources(root: Path, homes: Mapping[str, Split]) -> Iterator[CaseSource]:
    """Two volumes of each patient, and a source that raises for whatever is amiss.

    homes: the published split of each patient, in published order.
    """
    data = root / "data"
    names = Names.read(data)
    yield from _list_sources(root, homes, names)
    frames = names.frames()
    for patient in [*homes, *sorted(frames.keys() - homes.keys())]:
        split, present = homes.get(patient, "train"), frames.get(patient, [])
        try:
            own = own_frames(patient, present) if patient in homes else dict(zip(present, present, strict=True))
        except DataError as error:
            yield broken(patient, patient, split, data, f"{data}: {error}")
            continue
        for number, own_number in own.items():
            yield _frame_source(data, names, split, (patient, own_number), (patient, number))


def _frame_source(data: Path, names: Names, split: Split, frame: Frame, standard: Frame) -> CaseSource:
    """One frame from its volume, else from its slices in z order; a source that raises if anything is amiss.

    frame: as its files call it; standard: as it is called from here on.
    """
    patient, id_ = frame[0], f"{standard[0]}_frame{standard[1]:02d}"
    pattern = data / "slices" / f"{patient}_frame{frame[1]:02d}_slice_*.h5"
    files = names.slices.get(frame, {})
    slices = tuple(files[z][0] for z in sorted(files))
    warnings = (OWN_NUMBERS,) * (frame != standard)
    if frame in names.volumes:
        paths = names.volumes[frame]
        load = partial(_load_volume, id_, split, paths, slices, warnings)
        return CaseSource(id_, patient, split, paths[0], load)
    if not files:
        where = data / f"{id_}.h5"
        return broken(id_, patient, split, where, f"{where}: missing, and there is no {pattern}; unpack the data again")
    if problems := slice_problems(names, data, frame, standard):
        return broken(id_, patient, split, pattern, *problems)
    warnings += (FROM_ZERO,) * (names.first == 0 and names.first_listed == 1 and bool(names.listed))
    return CaseSource(id_, patient, split, pattern, partial(_load_h5, id_, split, slices, warnings), slices=slices)


def _list_sources(root: Path, homes: Mapping[str, Split], names: Names) -> Iterator[CaseSource]:
    """A source that raises for each list, or line of one, that contradicts the splits; the slices go into `names`."""
    first_seen: dict[str, str] = {}
    for name, split in LIST_FILES:
        path = root / name
        if not path.exists():
            continue
        try:
            lines = text_of(inside(path)).splitlines()
        except DataError as error:
            yield broken(name, name, split, path, str(error))
            continue
        complained: set[str] = set()
        for number, line in enumerate(lines, start=1):
            match = ENTRY.fullmatch(line.strip())
            patient = match["patient"] if match else line.strip()
            if match:
                names.list_line(match)
            place = f"{path}, line {number}"
            first_seen.setdefault(patient, place)
            if patient and homes.get(patient) != split and patient not in complained:
                complained.add(patient)
                problem = _contradiction(place, patient, homes.get(patient), split, first_seen[patient])
                yield broken(f"{name}:{number}", patient, split, path, problem)


def _contradiction(place: str, patient: str, home: Split | None, split: Split, first: str) -> str:
    if home is None:
        return f"{place}: {patient!r} is no patient of the published splits; restore the published lists"
    also = "" if first == place else f" and is listed at {first} too"
    return f"{place}: {patient} is published in the {home} split, not in {split}{also}; restore the published lists"


def _load_volume(
    id_: str, split: Split, paths: Sequence[Path], slices: Sequence[Path], warnings: tuple[str, ...]
) -> Case:
    """Read one volume file, and compare it with the slices that some distributions hold of it too."""
    case = _load_h5(id_, split, (only_one(paths, "frame"),), warnings)
    return replace(case, warnings=warnings + _other_slices(case, slices)) if slices else case


def _other_slices(case: Case, slices: Sequence[Path]) -> tuple[str, ...]:
    try:
        cut = _load_h5(case.id, case.split, slices, ())
    except DataError as error:
        return (f"its slices cannot be compared with its volume, which is taken ({str(error).splitlines()[0]})",)
    same = np.array_equal(cut.image, case.image) and np.array_equal(cut.label, case.label)
    return () if same else ("the slices in data/slices differ from the volume in data, which is taken",)


def _load_h5(id_: str, split: Split, paths: Sequence[Path], warnings: tuple[str, ...]) -> Case:
    """Read one volume file [Z, H, W], or slice files [H, W] in z order."""
    pairs, problems = [], []
    for path in paths:
        try:
            pairs.append(_read_pair(inside(path)))
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
        warnings=warnings,
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
