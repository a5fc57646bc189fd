"""Training, validation and test patients: the folder's own where it has them, else drawn by a seed."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.api.dataset import Split
from harness.api.errors import DataError, UsageError
from harness.api.reading import reading
from harness.data.naming import some
from harness.data.own.files import RawCase, RawCases
from harness.data.subsets import drawn

SPLITS_JSON = "splits_final.json"
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class Splits:
    """Patients of each split in order, and the split of each case that belongs to one.

    unlabelled: the training patients without any label, the last ones.
    notes:      where the splits come from, and what is left out.
    """

    patients: Mapping[Split, tuple[str, ...]]
    of_case: Mapping[str, Split]
    unlabelled: tuple[str, ...]
    notes: tuple[str, ...]


def patients_of(cases: Iterable[RawCase], pattern: str | None) -> dict[str, str]:
    """The patient of each case by its id: what a regular expression, or its first group, finds at its start.

    Raises `UsageError` for a wrong expression, or one that does not fit every id.
    """
    if pattern is None:
        return {case.id: case.id for case in cases}
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--patient: {pattern!r} is no regular expression ({error})") from None
    patients = {}
    for case in cases:
        match = expression.match(case.id)
        patient = match and match[1 if expression.groups else 0]
        if not patient:
            raise UsageError(f"--patient: {pattern!r} finds no patient in the case {case.id}")
        patients[case.id] = patient
    return patients


def split_cases(folder: Path, raw: RawCases, patients: Mapping[str, str], name: str, seed: int) -> Splits:
    """The splits of a folder; draws are seeded by the dataset's name and `seed`.

    Test: imagesTs where it has labels, else a fifth of the annotated patients. Validation: that of the first fold of
    splits_final.json, else a tenth. Raises `DataError` where that file does not fit, a patient is in two splits, or
    there are too few.
    """
    pool = _unique(patients[case.id] for case in raw.annotated)
    order = drawn(pool, len(pool), f"{name}:split:{seed}")
    test = _unique(patients[case.id] for case in raw.test)
    if both := sorted(set(test) & {patients[case.id] for case in raw.cases if case.part == "Tr"}):
        raise DataError(f"{folder}: patients of imagesTr and of imagesTs too: {some(both)}; move their scans together")
    least = 2 if test else 3
    if len(pool) < least:
        raise DataError(f"{folder}: {len(pool)} training patients with labels; {least} are needed for the splits")
    notes = [f"test: the {len(test)} patients of imagesTs" if test else f"test: drawn by seed {seed}"]
    test = test or list(order[: max(1, round(TEST_SHARE * len(pool)))])
    rest = [patient for patient in order if patient not in test]
    train: Sequence[str]
    val: Sequence[str]
    fold = _first_fold(folder / SPLITS_JSON, raw, patients)
    if fold is None:
        val = rest[: max(1, round(VALIDATION_SHARE * len(pool)))]
        train = rest[len(val) :]
        notes.append(f"validation: drawn by seed {seed}")
    else:
        train, val = ([patient for patient in part if patient not in test] for part in fold)
        notes.append(f"training and validation: the first fold of {SPLITS_JSON}")
        if not train or not val:
            raise DataError(f"{folder / SPLITS_JSON}: without the drawn test patients a split is empty; make imagesTs")
    held_out = {*val, *test}
    unlabelled = sorted({patients[case.id] for case in raw.cases if not case.label} - {*train, *held_out})
    of_case: dict[str, Split] = {}
    for case in raw.cases:
        patient = patients[case.id]
        if case.label or patient not in held_out:
            of_case[case.id] = "test" if patient in test else "val" if patient in val else "train"
    if left_out := [case.id for case in raw.cases if case.id not in of_case]:
        notes.append(f"left out, without labels and of patients of the validation or test split: {some(left_out)}")
    splits: Mapping[Split, tuple[str, ...]] = {"train": (*train, *unlabelled), "val": tuple(val), "test": tuple(test)}
    return Splits(splits, of_case, tuple(unlabelled), tuple(notes))


def _first_fold(path: Path, raw: RawCases, patients: Mapping[str, str]) -> tuple[list[str], list[str]] | None:
    """Training and validation patients with labels; None without the file."""
    if not path.is_file():
        return None
    with reading(path):
        folds = json.loads(path.read_text(encoding="utf-8"))
    try:
        lists = [[str(case) for case in folds[0][part]] for part in ("train", "val")]
    except (KeyError, IndexError, TypeError):
        raise DataError(f'{path}: is no list of folds, as [{{"train": [case, ...], "val": [case, ...]}}]') from None
    annotated, known = {case.id for case in raw.annotated}, {case.id for case in raw.cases if case.part == "Tr"}
    listed = {case for part in lists for case in part}
    if strangers := sorted(listed - known):
        raise DataError(f"{path}: the first fold names cases that are not in imagesTr: {some(strangers)}")
    if absent := sorted(annotated - listed):
        raise DataError(f"{path}: the first fold lacks cases that have labels: {some(absent)}")
    train, val = (_unique(patients[case] for case in part if case in annotated) for part in lists)
    if both := sorted(set(train) & set(val)):
        raise DataError(f"{path}: the first fold trains and validates on the same patients: {some(both)}")
    return train, val


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def grouping(cases: Sequence[RawCase], patients: Mapping[str, str]) -> list[str]:
    """A line per patient with several scans, and how many have a single one."""
    by_patient: dict[str, list[str]] = {}
    for case in cases:
        by_patient.setdefault(patients[case.id], []).append(case.id)
    several = {patient: ids for patient, ids in by_patient.items() if len(ids) > 1}
    lines = [f"patient {patient}: {some(ids)}" for patient, ids in several.items()]
    return [*lines, f"{len(by_patient)} patients, {len(several)} of them with several scans"]
