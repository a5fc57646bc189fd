from typing import Any

import numpy as np
import pytest

from harness.api import DataError
from harness.data.prepare import prepare
from tests.data import small_acdc, small_la
from tests.data.small_acdc import SmallACDC, image_of, write_h5, write_ssl4mis
from tests.data.small_la import PATIENTS, SmallLA, SmallLALabelFree, cropped, write_nrrd, write_ua_mt

ONE, OTHER = PATIENTS[0], PATIENTS[3]
"""A training patient and the validation patient of the atrium."""


def refusal(datasets, root, tmp_path):
    """Lines of the message with which `root` is refused, without the first; sources and caches stay as they were."""
    home = tmp_path / "caches"
    home.mkdir()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    for dataset in datasets:
        with pytest.raises(DataError) as refused:
            prepare(dataset, root, home / "cache")
        first, *lines = str(refused.value).splitlines()
        problems = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        assert first == f"{dataset.name}: {problems}, nothing was prepared"
    assert list(home.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    return lines


def removed(name):
    return lambda root: (root / name).unlink()


def written(name, text):
    return lambda root: (root / name).write_text(text)


def both(*damages):
    return lambda root: [damage(root) for damage in damages]


def stored(case, kind=np.float32):
    grey, label = small_acdc.voxels(*case.split("_"))
    return lambda root: write_h5(root / "data" / f"{case}.h5", image_of(grey).astype(kind), label)


ACDC_H5 = {
    "types": (
        stored("patient028_frame01", np.int16),
        "patient028_frame01.h5: image is int16; store it as float32",
    ),
    "missing": (removed("data/patient011_frame02.h5"), "data/patient011_frame02.h5: missing"),
    "no split": (
        stored("patient777_frame01"),
        "data/patient777_frame01.h5: patient777 is in no published split",
    ),
    "rubbish listed": (
        written("test.list", "patient011_frame01\npatient555_frame01\nrubbish\n"),
        "test.list, line 2: 'patient555' is no patient",
        "test.list, line 3: 'rubbish' is no patient",
    ),
}


def renamed(root):
    (root / "patient011").rename(root / "patient888")
    for path in (root / "patient888").glob("patient011*"):
        path.rename(path.with_name(path.name.replace("011", "888")))


ACDC_OFFICIAL = {
    "no label": (removed("patient090/patient090_frame04_gt.nii.gz"), "gt.nii.gz: missing; Info.cfg names frame 4"),
    "no patient": (lambda root: (root / "patient011").rename(root / "x"), "raw/patient011: missing patient"),
    "stranger": (
        renamed,
        "patient888_frame01.nii.gz: patient888 is in no",
        "patient888_frame12.nii.gz: patient888",
        "patient011: missing",
    ),
    "no phase": (written("patient028/Info.cfg", "ED: one\n"), "Info.cfg: has no frame number for ED or for ES"),
}


def volume(change):
    return lambda root: write_h5(root / ONE / "mri_norm2.h5", *change(*cropped(ONE)))


H5 = f"{ONE}/mri_norm2.h5"
LA_H5 = {
    "label 255": (volume(lambda image, label: (image, label * 255)), f"{H5}: label value 255 is neither 0 nor 1"),
    "label of other shape": (
        volume(lambda image, label: (image, label[:-1])),
        f"{H5}: image (90, 90, 12) and label (89, 90, 12) differ in shape (x, y, z)",
    ),
    "no atrium": (volume(lambda image, label: (image, 0 * label)), f"{H5}: label is empty"),
    "in the wrong list": (
        both(removed("train.list"), written("test.list", f"{PATIENTS[4]}\n{OTHER}\n")),
        f"test.list, line 2: {OTHER} is published in the val split, not here",
    ),
}
LA_OFFICIAL = {
    "no label": (removed(f"{ONE}/laendo.nrrd"), f"{ONE}/laendo.nrrd: missing, its partner is there"),
    "three values": (
        lambda root: write_nrrd(root / ONE / "laendo.nrrd", small_la.voxels(ONE)[1] // 2),
        f"{ONE}/laendo.nrrd: label value 127 is neither 0 nor 255",
    ),
}
TREES: dict[str, tuple[Any, ...]] = {
    "acdc h5": ((SmallACDC(),), write_ssl4mis, ACDC_H5),
    "acdc official": ((SmallACDC(),), small_acdc.write_official, ACDC_OFFICIAL),
    "la h5": ((SmallLA(),), write_ua_mt, LA_H5),
    "la official": ((SmallLA(), SmallLALabelFree()), small_la.write_official, LA_OFFICIAL),
}


@pytest.mark.parametrize(("tree", "name"), [(tree, name) for tree in TREES for name in TREES[tree][-1]])
def test_a_damaged_tree_is_refused(tree, name, tmp_path):
    datasets, write, damages = TREES[tree]
    damage, *texts = damages[name]
    damage(root := write(tmp_path / "raw"))
    lines = refusal(datasets, root, tmp_path)
    assert all(any(text in line for line in lines) for text in texts), lines
    assert len(lines) <= len(texts), "one line a problem, none of them about anything else"
