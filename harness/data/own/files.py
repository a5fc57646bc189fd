"""Which files belong to which case, in a folder of nnU-Net's raw format."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.api.errors import DataError
from harness.data.naming import some
from harness.data.own.description import Description

Part = Literal["Tr", "Ts", "Un"]
"""Of training (with labels or without), of the test, without labels."""


@dataclass(frozen=True)
class RawCase:
    """Files of one case: an image for each channel, and its label, if any."""

    id: str
    part: Part
    images: tuple[Path, ...]
    label: Path | None


@dataclass(frozen=True)
class RawCases:
    """All cases by id, and lines on what was left aside."""

    cases: tuple[RawCase, ...]
    notes: tuple[str, ...] = ()

    @property
    def annotated(self) -> list[RawCase]:
        return [case for case in self.cases if case.part == "Tr" and case.label]

    @property
    def test(self) -> list[RawCase]:
        """Cases of the folder's own test split; none where its labels are not there."""
        return [case for case in self.cases if case.part == "Ts"]


def list_cases(folder: Path, description: Description) -> RawCases:
    """Every case of a folder. Raises one `DataError` with a line for each flaw."""
    problems: list[str] = []
    training = list(_training(folder, description, problems))
    unlabelled = _in_folder(folder, "Un", description, problems)
    test = _in_folder(folder, "Ts", description, problems)
    notes = []
    if test and not any(case.label for case in test) and not (folder / "labelsTs").is_dir():
        notes.append(f"imagesTs: {len(test)} cases have no labelsTs; they are left alone, and a test split is drawn")
        test = []
    for case in (case for case in test if case.label is None):
        label = folder / "labelsTs" / f"{case.id}{description.file_ending}"
        problems.append(f"{label}: missing, its image is in imagesTs; bring it, or move the image to imagesUn")
    named = {case.id for case in (*training, *test)}
    twice = [folder / "imagesUn" / case.id for case in unlabelled if case.id in named]
    problems += [f"{case}: imagesTr or imagesTs has a case of that name too; keep one" for case in twice]
    labelled = sum(case.label is not None for case in training)
    if description.training not in (None, labelled, len(training)):
        problems.append(
            f"{description.path}: numTraining: {description.training}, but imagesTr holds {len(training)} cases, "
            f"{labelled} of them with labels; bring the missing files or correct the number"
        )
    if not problems and not labelled:
        problems.append(f"{folder / 'labelsTr'}: holds no label of an image of imagesTr; some cases need labels")
    if problems:
        raise DataError("\n".join([f"{folder}: {len(problems)} problem(s), nothing was prepared", *problems]))
    return RawCases((*training, *test, *(replace(case, label=None) for case in unlabelled)), tuple(notes))


def _training(folder: Path, description: Description, problems: list[str]) -> Iterator[RawCase]:
    if description.listed is None:
        yield from _in_folder(folder, "Tr", description, problems)
        return
    for id_, (images, label) in description.listed.items():
        if len(images) != len(description.channels):
            named = len(description.channels)
            problems.append(f"{description.path}: dataset: {id_}: {len(images)} images, channel_names has {named}")
        yield RawCase(id_, "Tr", images, label)


def _in_folder(folder: Path, part: Part, description: Description, problems: list[str]) -> list[RawCase]:
    """Cases of images<part> with their labels in labels<part>, by id."""
    ending, expected = description.file_ending, range(len(description.channels))
    by_id: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in _files(folder / f"images{part}", ending):
        match = re.fullmatch(r"(.+)_(\d{4})", path.name.removesuffix(ending))
        if match is None:
            problems.append(f"{path}: no channel in its name; call it <case>_0000{ending}")
        else:
            by_id[match[1]][int(match[2])] = path
    labels = {path.name.removesuffix(ending): path for path in _files(folder / f"labels{part}", ending)}
    if alone := sorted(labels.keys() - by_id.keys()):
        problems.append(f"{folder / f'labels{part}'}: {some(alone)}: no image of that name in images{part}")
    for id_, channels in by_id.items():
        if sorted(channels) != list(expected):
            present = ", ".join(f"_{number:04}" for number in sorted(channels))
            problems.append(
                f"{folder / f'images{part}' / id_}: has {present}, but {description.path.name} names "
                f"{len(expected)} channel(s) ({', '.join(description.channels)}), one file each from _0000 on"
            )
    cases = sorted(by_id.items())
    return [RawCase(id_, part, tuple(files[n] for n in sorted(files)), labels.get(id_)) for id_, files in cases]


def _files(folder: Path, ending: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.endswith(ending) and not path.name.startswith("."))
