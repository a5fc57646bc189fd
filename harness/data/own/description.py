"""dataset.json of nnU-Net's raw format: channels, labels, file ending, and files where it lists them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.api.errors import DataError
from harness.api.reading import reading
from harness.api.scans.formats import READERS

DATASET_JSON = "dataset.json"
MOST_CLASSES = 256


@dataclass(frozen=True)
class Description:
    """What dataset.json says.

    channels:    names in order.
    classes:     names in label order, background first.
    file_ending: of all files, as .nii.gz.
    training:    number of training cases, None where it is not said.
    listed:      images by channel, and the label, of each training case; None: those in imagesTr and labelsTr.
    """

    path: Path
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    file_ending: str
    training: int | None
    listed: Mapping[str, tuple[tuple[Path, ...], Path | None]] | None


def read_description(folder: Path) -> Description:
    """Read and check dataset.json. Raises one `DataError` with a line for each flaw."""
    path = folder / DATASET_JSON
    if not path.is_file():
        raise DataError(f"{path}: missing; give a folder in nnU-Net's raw format, with {DATASET_JSON} and imagesTr")
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict):
        raise DataError(f"{path}: is {type(content).__name__} and not a mapping of fields")
    channels, channel_problems = _channels(content.get("channel_names", content.get("modality")))
    classes, label_problems = _classes(content.get("labels"))
    ending, training = content.get("file_ending"), content.get("numTraining")
    problems = [*channel_problems, *label_problems]
    if ending not in READERS:
        problems.append(f"file_ending: {ending!r} is none of {', '.join(READERS)}; convert the files")
    if training is not None and not isinstance(training, int):
        problems.append(f"numTraining: {training!r} is no number")
    listed, list_problems = _listed(folder, content.get("dataset"))
    if problems := [f"{path}: {problem}" for problem in (*problems, *list_problems)]:
        raise DataError("\n".join(problems))
    return Description(path, channels, classes, str(ending), training, listed)


def _channels(names: object) -> tuple[tuple[str, ...], list[str]]:
    if not isinstance(names, dict) or not names:
        return (), ['channel_names: missing; it names each channel by its number, as {"0": "CT"}']
    if set(names) != {str(number) for number in range(len(names))}:
        return (), [f"channel_names: numbers {', '.join(names)} are not 0 to {len(names) - 1}"]
    return tuple(str(names[str(number)]) for number in range(len(names))), []


def _classes(labels: object) -> tuple[tuple[str, ...], list[str]]:
    if not isinstance(labels, dict) or not labels:
        return (), ['labels: missing; it gives each name its value, as {"background": 0, "tumour": 1}']
    if problems := _unsupported(labels):
        return (), problems
    by_value = {int(value): str(name) for name, value in labels.items()}
    last = len(by_value) - 1
    if len(by_value) < len(labels):
        return (), ["labels: two names share a value; give each its own"]
    if not 1 <= last < MOST_CLASSES:
        return (), [f"labels: {len(labels)} classes; there are 2 to {MOST_CLASSES} with background"]
    if absent := [str(value) for value in range(last + 1) if value not in by_value]:
        return (), [f"labels: no name for {', '.join(absent)}; values run from 0 (background) to {last} without gaps"]
    return tuple(by_value[value] for value in range(last + 1)), []


def _unsupported(labels: Mapping[str, object]) -> list[str]:
    if all(name.isdigit() and isinstance(value, str) for name, value in labels.items()):
        return ["labels: value to name, as in the first nnU-Net; write name to value, as nnUNetv2_convert does"]
    problems = []
    if "ignore" in labels:
        problems.append("labels: ignore: voxels that nobody has judged are not supported; remove that label")
    if regions := [name for name, value in labels.items() if isinstance(value, list)]:
        names = ", ".join(regions)
        problems.append(f"labels: {names}: regions of several values are not supported; give each class one value")
    other = [name for name, value in labels.items() if not isinstance(value, int | list) or isinstance(value, bool)]
    if other:
        problems.append(f"labels: {', '.join(other)}: not a whole number")
    return problems


def _listed(folder: Path, cases: Any) -> tuple[Mapping[str, tuple[tuple[Path, ...], Path | None]] | None, list[str]]:  # noqa: ANN401 - JSON
    """The files that `dataset` names, relative to the folder, and those that are not there."""
    if cases is None:
        return None, []
    try:
        listed = {
            str(id_): (
                tuple(folder / image for image in files["images"]),
                folder / files["label"] if files.get("label") else None,
            )
            for id_, files in cases.items()
        }
    except (AttributeError, KeyError, TypeError):
        return None, [
            'dataset: each case has its files, as {"case": {"images": ["a_0000.nii.gz"], "label": "a.nii.gz"}}'
        ]
    absent = [
        f"dataset: {id_}: {path} is not there; correct its name, or bring the file"
        for id_, (images, label) in listed.items()
        for path in (*images, *([label] if label else []))
        if not path.is_file()
    ]
    return listed, absent
