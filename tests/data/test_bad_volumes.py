"""Every kind of flawed volume: one message that names the file, all problems at once, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.api.dataset import Dataset
from harness.api.errors import DataError
from harness.data.prepare import prepare
from tests.data.small_la import (
    PATIENTS,
    SmallLA,
    SmallLALabelFree,
    cropped,
    voxels,
    write_h5,
    write_nrrd,
    write_official,
    write_ua_mt,
)

Damage = Callable[[Path], list[str]]
ONE, OTHER = PATIENTS[0], PATIENTS[3]
"""A training patient and the validation patient."""


def refusal(root: Path, tmp_path: Path, dataset: Dataset) -> list[str]:
    """Lines of the message with which `root` is refused, without the first; the folder for caches must stay empty."""
    home = tmp_path / "caches"
    home.mkdir(exist_ok=True)
    with pytest.raises(DataError) as refused:
        prepare(dataset, root, home / "cache")
    assert list(home.iterdir()) == []
    first, *lines = str(refused.value).splitlines()
    problems = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    assert first == f"{dataset.name}: {problems}, nothing was prepared"
    return lines


def h5(root: Path, patient: str = ONE) -> Path:
    return root / patient / "mri_norm2.h5"


def truncated(root: Path) -> list[str]:
    h5(root).write_bytes(h5(root).read_bytes()[:-5000])
    return [f"{ONE}/mri_norm2.h5: cannot be read, truncated"]


def label_of_the_official_kind(root: Path) -> list[str]:
    image, label = cropped(ONE)
    write_h5(h5(root), image=image, label=label * np.uint8(255))
    return [f"{ONE}/mri_norm2.h5: label value 255 is neither 0 nor 1"]


def label_of_other_shape(root: Path) -> list[str]:
    image, label = cropped(ONE)
    write_h5(h5(root), image=image, label=label[:-1])
    return [f"{ONE}/mri_norm2.h5: image (90, 90, 12) and label (89, 90, 12) differ in shape (x, y, z)"]


def a_slice(root: Path) -> list[str]:
    image, label = cropped(ONE)
    write_h5(h5(root), image=image[:, :, 4], label=label[:, :, 4])
    return [f"{ONE}/mri_norm2.h5: has 2 axes; a volume has three"]


def no_atrium(root: Path) -> list[str]:
    image, label = cropped(ONE)
    write_h5(h5(root), image=image, label=np.zeros_like(label))
    return [f"{ONE}/mri_norm2.h5: label is empty"]


def wrong_types(root: Path) -> list[str]:
    image, label = cropped(ONE)
    write_h5(h5(root), image=image.astype(np.float64), label=label.astype(np.int16))
    return [f"{ONE}/mri_norm2.h5: image is float64"]


def patient_missing(root: Path) -> list[str]:
    h5(root).unlink()
    return [f"{ONE}/mri_norm2.h5: missing patient"]


def stranger(root: Path) -> list[str]:
    image, label = cropped("a stranger")
    write_h5(h5(root, "STRANGER"), image=image, label=label)
    return ["STRANGER/mri_norm2.h5: STRANGER is in no published split"]


def listed_twice(root: Path) -> list[str]:
    with (root / "train.list").open("a") as file:
        file.write(f"{ONE}\n")
    return [f"train.list, line 5: {ONE} is listed at {root / 'train.list'}, line 1 already"]


def listed_in_the_wrong_split(root: Path) -> list[str]:
    (root / "test.list").write_text(f"{PATIENTS[4]}\n{OTHER}\n")
    (root / "train.list").unlink()
    return [f"test.list, line 2: {OTHER} is published in the val split, not here"]


def stranger_in_a_list(root: Path) -> list[str]:
    (root / "test.list").write_text("rubbish\n")
    return ["test.list, line 1: 'rubbish' is no patient"]


H5_DAMAGE: list[Damage] = [
    truncated,
    label_of_the_official_kind,
    label_of_other_shape,
    a_slice,
    no_atrium,
    wrong_types,
    patient_missing,
    stranger,
    listed_twice,
    listed_in_the_wrong_split,
    stranger_in_a_list,
]


@pytest.mark.parametrize("damage", H5_DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_h5_tree_is_refused(damage: Damage, tmp_path: Path) -> None:
    root = write_ua_mt(tmp_path / "raw")
    expected = damage(root)
    lines = refusal(root, tmp_path, SmallLA())
    assert len(lines) == len(expected), lines
    for text, line in zip(expected, lines, strict=True):
        assert text in line


def image(root: Path, patient: str = ONE) -> Path:
    return root / patient / "lgemri.nrrd"


def mask(root: Path, patient: str = ONE) -> Path:
    return root / patient / "laendo.nrrd"


def without_label(root: Path) -> list[str]:
    mask(root).unlink()
    return [f"{ONE}/laendo.nrrd: missing, its partner is there"]


def without_image(root: Path) -> list[str]:
    image(root).unlink()
    return [f"{ONE}/lgemri.nrrd: missing, its partner is there"]


def official_patient_missing(root: Path) -> list[str]:
    (root / ONE).rename(root.parent / "elsewhere")
    return [f"{ONE}: missing patient, neither"]


def mask_of_other_shape(root: Path) -> list[str]:
    write_nrrd(mask(root), voxels(ONE)[1][:, :-1])
    return [f"{ONE}/lgemri.nrrd: image (176, 160, 12) and label (176, 159, 12) differ in shape (x, y, z)"]


def slice_of_nrrd(root: Path) -> list[str]:
    write_nrrd(image(root), voxels(ONE)[0][:, :, 3], {"space": None, "space origin": None, "space directions": None})
    return [f"{ONE}/lgemri.nrrd: has 2 axes; a volume has three"]


def mask_of_three_values(root: Path) -> list[str]:
    marked = voxels(ONE)[1]
    marked[0, 0, :2] = (1, 128)
    write_nrrd(mask(root), marked)
    return [f"{ONE}/laendo.nrrd: label value 1, 128 is neither 0 nor 255"]


def nrrd_without_atrium(root: Path) -> list[str]:
    write_nrrd(mask(root), np.zeros_like(voxels(ONE)[1]))
    return [f"{ONE}/laendo.nrrd: label is empty"]


OFFICIAL_DAMAGE: list[Damage] = [
    without_label,
    without_image,
    official_patient_missing,
    mask_of_other_shape,
    slice_of_nrrd,
    mask_of_three_values,
    nrrd_without_atrium,
]


@pytest.mark.parametrize("damage", OFFICIAL_DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_official_tree_is_refused(damage: Damage, tmp_path: Path) -> None:
    root = write_official(tmp_path / "raw")
    expected = damage(root)
    for dataset in (SmallLA(), SmallLALabelFree()):
        lines = refusal(root, tmp_path, dataset)
        assert len(lines) == len(expected), lines
        for text, line in zip(expected, lines, strict=True):
            assert text in line


def test_a_box_that_cuts_the_atrium_is_refused(tmp_path: Path) -> None:
    root = write_official(tmp_path / "raw")
    marked = voxels(ONE)[1]
    marked[:3, 0, 0] = 255
    write_nrrd(mask(root), marked)
    (line,) = refusal(root, tmp_path, SmallLALabelFree())
    assert f"{ONE}/lgemri.nrrd: 3 voxels of the atrium lie outside the body's box" in line


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    root = write_ua_mt(tmp_path / "raw")
    expected = stranger_in_a_list(root) + truncated(root)
    write_h5(h5(root, OTHER), image=cropped(OTHER)[0])
    h5(root, PATIENTS[4]).unlink()
    lines = refusal(root, tmp_path, SmallLA())
    expected += [f"{OTHER}/mri_norm2.h5: has no image or no label", f"{PATIENTS[4]}/mri_norm2.h5: missing patient"]
    assert len(lines) == 4
    for text in expected:
        assert any(text in line for line in lines), lines
