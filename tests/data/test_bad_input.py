"""Every kind of flawed input: one message that names the file, all problems at once, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.api.errors import DataError
from harness.data.prepare import prepare
from tests.data.small_acdc import SmallACDC, image_of, voxels, write_h5, write_nifti, write_official, write_ssl4mis

Damage = Callable[[Path], list[str]]


def refusal(root: Path, tmp_path: Path) -> list[str]:
    """Lines of the message with which `root` is refused; the folder for caches must stay empty."""
    home = tmp_path / "caches"
    home.mkdir(exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(DataError) as refused:
        prepare(SmallACDC(), root, home / "acdc")
    assert list(home.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    return str(refused.value).splitlines()


def truncated_volume(root: Path) -> list[str]:
    path = root / "data" / "patient028_frame02.h5"
    path.write_bytes(path.read_bytes()[:900])
    return ["data/patient028_frame02.h5: cannot be read"]


def volume_label_of_other_shape(root: Path) -> list[str]:
    grey, label = voxels("patient028", "frame01")
    write_h5(root / "data" / "patient028_frame01.h5", image_of(grey), label[:, :-1])
    return ["data/patient028_frame01.h5: image (4, 20, 17) and label (4, 19, 17) differ in shape"]


def slice_label_of_other_shape(root: Path) -> list[str]:
    grey, label = voxels("patient099", "frame02")
    write_h5(root / "data" / "slices" / "patient099_frame02_slice_3.h5", image_of(grey)[2], label[2, 1:])
    return ["slices/patient099_frame02_slice_3.h5: image (23, 17) and label (22, 17) differ in shape"]


def odd_slice(root: Path) -> list[str]:
    grey, label = voxels("patient099", "frame02")
    write_h5(root / "data" / "slices" / "patient099_frame02_slice_3.h5", image_of(grey)[2, 1:], label[2, 1:])
    return ["slices/patient099_frame02_slice_3.h5: slice of shape (22, 17) in a volume of (23, 17)"]


def label_seven_in_a_slice(root: Path) -> list[str]:
    grey, label = voxels("patient099", "frame02")
    label[1, 0, 0] = 7
    write_h5(root / "data" / "slices" / "patient099_frame02_slice_2.h5", image_of(grey)[1], label[1])
    return ["slices/patient099_frame02_slice_2.h5: label value 7 is outside 0..3"]


def wrong_types(root: Path) -> list[str]:
    grey, label = voxels("patient028", "frame01")
    write_h5(root / "data" / "patient028_frame01.h5", grey, label.astype(np.int64))
    return ["patient028_frame01.h5: image is int16; store it as float32"]


def wrong_axes(root: Path) -> list[str]:
    grey, label = voxels("patient028", "frame01")
    write_h5(root / "data" / "patient028_frame01.h5", image_of(grey)[None], label[None])
    return ["patient028_frame01.h5: image has shape (1, 4, 20, 17)", "label has shape (1, 4, 20, 17)"]


def gap_between_slices(root: Path) -> list[str]:
    (root / "train_slices.list").unlink()
    (root / "data" / "slices" / "patient099_frame01_slice_2.h5").unlink()
    return ["slices/patient099_frame01_slice_2.h5: missing slice"]


def slice_beyond_the_list(root: Path) -> list[str]:
    grey, label = voxels("patient099", "frame01")
    write_h5(root / "data" / "slices" / "patient099_frame01_slice_4.h5", image_of(grey)[0], label[0])
    return ["slices/patient099_frame01_slice_4.h5: no such slice in train_slices.list"]


def volume_missing(root: Path) -> list[str]:
    (root / "data" / "patient011_frame02.h5").unlink()
    return ["data/patient011_frame02.h5: missing"]


def patient_of_no_split(root: Path) -> list[str]:
    grey, label = voxels("patient777", "frame01")
    write_h5(root / "data" / "patient777_frame01.h5", image_of(grey), label)
    return ["data/patient777_frame01.h5: patient777 is in no published split"]


def third_frame(root: Path) -> list[str]:
    grey, label = voxels("patient777", "frame03")
    write_h5(root / "data" / "patient028_frame03.h5", image_of(grey), label)
    return ["/data: patient028 has frame01, frame02, frame03, where two annotated frames are expected"]


def patient_in_two_lists(root: Path) -> list[str]:
    with (root / "val.list").open("a") as file:
        file.write("patient099_frame01\npatient099_frame02\n")
    return [
        "val.list, line 3: patient099 is published in the train split, not in val and is listed at",
        "train.list, line 1 too",
    ]


def stranger_in_a_list(root: Path) -> list[str]:
    (root / "test.list").write_text("patient011_frame01\npatient555_frame01\nrubbish\n")
    return ["test.list, line 2: 'patient555' is no patient", "test.list, line 3: 'rubbish' is no patient"]


H5_DAMAGE: list[Damage] = [
    truncated_volume,
    volume_label_of_other_shape,
    slice_label_of_other_shape,
    odd_slice,
    label_seven_in_a_slice,
    wrong_types,
    wrong_axes,
    gap_between_slices,
    slice_beyond_the_list,
    volume_missing,
    patient_of_no_split,
    third_frame,
    patient_in_two_lists,
    stranger_in_a_list,
]


@pytest.mark.parametrize("damage", H5_DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_h5_tree_is_refused(damage: Damage, tmp_path: Path) -> None:
    root = write_ssl4mis(tmp_path / "raw")
    expected = damage(root)
    lines = refusal(root, tmp_path)
    assert lines[0] == f"acdc: {'1 problem' if len(lines) == 2 else f'{len(lines) - 1} problems'}, nothing was prepared"
    for text in expected:
        assert any(text in line for line in lines[1:]), lines
    assert len(lines) - 1 <= len(expected)  # one line a problem, none of them about anything else


def info_missing(root: Path) -> list[str]:
    (root / "patient028" / "Info.cfg").unlink()
    return ["patient028/Info.cfg: missing"]


def info_without_phase(root: Path) -> list[str]:
    (root / "patient028" / "Info.cfg").write_text("ED: one\nGroup: DCM\n")
    return ["patient028/Info.cfg: has no frame number for ED or for ES"]


def info_with_one_frame(root: Path) -> list[str]:
    (root / "patient028" / "Info.cfg").write_text("ED: 1\nES: 1\n")
    return ["patient028/Info.cfg: ED and ES are the same frame"]


def frame_missing(root: Path) -> list[str]:
    (root / "patient090" / "patient090_frame04_gt.nii.gz").unlink()
    return ["patient090/patient090_frame04_gt.nii.gz: missing; Info.cfg names frame 4"]


def patient_missing(root: Path) -> list[str]:
    (root / "patient011").rename(root / "elsewhere")
    return ["raw/patient011: missing patient"]


def nifti_of_other_shape(root: Path) -> list[str]:
    write_nifti(root / "patient028" / "patient028_frame01_gt.nii.gz", voxels("patient028", "frame01")[1][:-1])
    return ["patient028_frame01.nii.gz: image (4, 20, 17) and label (3, 20, 17) differ in shape"]


def stranger(root: Path) -> list[str]:
    (root / "patient011").rename(root / "patient888")
    for path in (root / "patient888").glob("patient011*"):
        path.rename(path.with_name(path.name.replace("011", "888")))
    return [
        "patient888_frame01.nii.gz: patient888 is in no",
        "patient888_frame12.nii.gz: patient888",
        "patient011: missing",
    ]


OFFICIAL_DAMAGE: list[Damage] = [
    info_missing,
    info_without_phase,
    info_with_one_frame,
    frame_missing,
    patient_missing,
    nifti_of_other_shape,
    stranger,
]


@pytest.mark.parametrize("damage", OFFICIAL_DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_official_tree_is_refused(damage: Damage, tmp_path: Path) -> None:
    root = write_official(tmp_path / "raw")
    expected = damage(root)
    lines = refusal(root, tmp_path)
    for text in expected:
        assert any(text in line for line in lines[1:]), lines
    assert len(lines) - 1 == len(expected)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    root = write_ssl4mis(tmp_path / "raw")
    damages = (truncated_volume, label_seven_in_a_slice, gap_between_slices, volume_missing, patient_in_two_lists)
    expected = [text for damage in damages for text in damage(root)]
    lines = refusal(root, tmp_path)
    assert lines[0] == "acdc: 5 problems, nothing was prepared"
    for text in expected:
        assert any(text in line for line in lines[1:]), lines
