"""All checks of a dataset, in one pass over its cases, with one message for all problems."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from harness.api.dataset import Case, CaseSource, Dataset, Split
from harness.api.errors import DataError
from harness.api.reading import reading
from harness.data.cache import DEVELOPMENT, TEST, Cache, read_unchecked
from harness.data.case_pairs import check_pairs
from harness.data.digests import array_sha256, case_sha256
from harness.data.naming import some
from harness.data.plausible import VolumeStatistics, measure_volume, oddities, own_problems


@dataclass(frozen=True)
class Checked:
    """Cases without a flaw, in published order of splits and patients.

    sha256: of each case, by id.
    """

    cases: tuple[Case, ...]
    sha256: Mapping[str, str]
    warnings: tuple[str, ...]


def read_checked(dataset: Dataset, sources: Sequence[CaseSource]) -> Checked:
    """Read every case and check it, each pair of cases and the splits.

    Raises one `DataError` with a line per problem.
    """
    problems: list[str] = []
    read: list[tuple[CaseSource, Case]] = []
    for source in sources:
        try:
            with reading(_where(source)):
                read.append((source, source.load()))
        except DataError as error:
            problems += str(error).splitlines()
    volumes: list[VolumeStatistics] = []
    for source, case in read:
        flaws = case_problems(source, case, len(dataset.classes), dataset.channels)
        if not flaws:
            volumes.append(measure_volume(case, len(dataset.classes)))
            flaws = [f"{_where(source)}: {text}" for text in own_problems(volumes[-1], dataset)]
        problems += flaws
    problems += split_problems(dataset, sources, [source for source, _ in read])
    where = {source.id: _where(source) for source, _ in read}
    images = {source.id: array_sha256(case.image) for source, case in read}
    across, within = check_pairs(dataset, [volume.case for volume in volumes], images, where)
    problems += across
    if problems:
        lines = list(dict.fromkeys(problems))
        count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        raise DataError("\n".join([f"{dataset.name}: {count}, nothing was prepared", *lines]))
    position = {patient: rank for rank, patient in enumerate(chain.from_iterable(dataset.splits.values()))}
    volumes.sort(key=lambda volume: (position[volume.case.patient], volume.case.id))
    cases = tuple(volume.case for volume in volumes)
    warnings = (*_of_cases(cases), *oddities(volumes, dataset), *within)
    return Checked(cases, {case.id: case_sha256(case, images[case.id]) for case in cases}, warnings)


def _of_cases(cases: Sequence[Case]) -> list[str]:
    by_text: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        for text in case.warnings:
            by_text[text].append(case.id)
    return [f"{some(ids)}: {text}" for text, ids in by_text.items()]


def case_problems(source: CaseSource, case: Case, n_classes: int, channels: int = 1) -> list[str]:
    """What is wrong with one case by itself, a line each; n_classes counts the background."""
    where = _where(source)
    problems = []
    if (case.id, case.patient, case.split) != (source.id, source.patient, source.split):
        problems.append(f"{where}: announced as {source.id} but holds {case.id}; mend the dataset's reader")
    for name, array, expected in (("image", case.image, np.float32), ("label", case.label, np.uint8)):
        if array.dtype != expected:
            problems.append(f"{where}: {name} is {array.dtype}; store it as {np.dtype(expected)}")
        volume = array if name == "label" or channels == 1 else array[0]
        if volume.ndim != 3 or volume.size == 0:
            problems.append(f"{where}: {name} has shape {array.shape}; a volume has three axes, none of them empty")
    if channels > 1 and len(case.image) != channels:
        problems.append(f"{where}: image has {len(case.image)} channels and not {channels}; mend the dataset's reader")
    if (case.image.shape if channels == 1 else case.image.shape[1:]) != case.label.shape:
        problems.append(
            f"{where}: image {case.image.shape} and label {case.label.shape} differ in shape; one of them is wrong"
        )
    if case.spacing_mm is not None and not all(np.isfinite(side) and side > 0 for side in case.spacing_mm):
        problems.append(f"{where}: spacing {case.spacing_mm} is not three positive lengths in mm; mend the header")
    return problems or _value_problems(source, case, n_classes)


def _value_problems(source: CaseSource, case: Case, n_classes: int) -> list[str]:
    problems = []
    if not np.isfinite([case.image.min(), case.image.max()]).all():  # both pass on nan
        wrong = ~np.isfinite(case.image).reshape(-1, *case.label.shape).all(axis=0)
        where = _where_first(source, np.asarray(wrong))
        problems.append(f"{where}: image holds values that are not finite; replace the file")
    if case.label.max() >= n_classes:
        outside = case.label >= n_classes
        values = ", ".join(map(str, np.unique(case.label[outside])[:5]))
        where = _where_first(source, outside)
        problems.append(f"{where}: label value {values} is outside 0..{n_classes - 1}; correct the annotation")
    return problems


def split_problems(dataset: Dataset, sources: Sequence[CaseSource], readable: Sequence[CaseSource]) -> list[str]:
    """What is wrong with who is where: patients missing, misplaced or in two splits, ids that repeat."""
    published = {patient: split for split in dataset.splits for patient in dataset.splits[split]}
    problems = [
        f"{_where(source)}: {source.patient} is in no published split; move it to another folder"
        for source in readable
        if source.patient not in published
    ]
    problems += _in_two_splits(dataset.splits, readable) + _repeated_ids(sources)
    absent = published.keys() - {source.patient for source in sources}
    problems += [f"{patient}: no case of this {published[patient]} patient; add it" for patient in sorted(absent)]
    return problems


def _in_two_splits(published: Mapping[Split, Sequence[str]], sources: Iterable[CaseSource]) -> list[str]:
    places: dict[str, dict[str, str]] = defaultdict(dict)
    for split, patients in published.items():
        for patient in patients:
            places[patient].setdefault(split, "the published splits")
    for source in sources:
        places[source.patient].setdefault(source.split, _where(source))
    return [
        f"{patient}: in two splits, {' and '.join(f'{split} ({where})' for split, where in seen.items())}; "
        "put it where the published splits have it"
        for patient, seen in sorted(places.items())
        if len(seen) > 1
    ]


def _repeated_ids(sources: Iterable[CaseSource]) -> list[str]:
    places: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        places[source.id].append(_where(source))
    return [
        f"{id_}: twice ({', '.join(files)}); find out which one is right"
        for id_, files in sorted(places.items())
        if len(files) > 1
    ]


def verify(cache: Cache) -> list[str]:
    """Hash every case of a cache again, test cases included, and recompute its checksum; a line per problem.

    Nothing but hashes leaves it, so it needs no permit.
    """
    problems = []
    for name, splits in ((DEVELOPMENT, ("train", "val")), (TEST, ("test",))):
        infos = [info for info in cache.manifest.cases if info.split in splits]
        try:
            for case, info in zip(read_unchecked(cache.folder / name, infos), infos, strict=True):
                if case_sha256(case) != info.sha256:
                    problems.append(f"{cache.folder / name}: {info.id} does not match its sha256")
        except DataError as error:
            problems.append(str(error))
    if cache.manifest.own_checksum != cache.manifest.checksum:
        problems.append(f"{cache.folder}: the manifest's checksum does not belong to its cases and splits")
    return problems


def _where(source: CaseSource) -> str:
    return source.id if source.path is None else str(source.path)


def _where_first(source: CaseSource, wrong: NDArray[np.bool_]) -> str:
    """The file to blame: that of the first slice that holds something wrong, where slices have files of their own."""
    first = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))[0])
    return str(source.slices[first]) if first < len(source.slices) else _where(source)
