import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from harness.api.errors import HarnessError
from harness.data.own.prepare import Choices, prepare_scans
from tests.data.raw_format import ENDING, write_folder

TEN = [f"p{number:02}" for number in range(10)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("raw") / "raw", {"Tr": TEN, "Ts": ["t1", "t2"]})


def said(**fields):

    def damage(root):
        content = json.loads((root / "dataset.json").read_text()) | fields
        text = json.dumps({name: value for name, value in content.items() if value is not None})
        (root / "dataset.json").write_text(text)

    return damage


def folds(train, val):
    return lambda root: (root / "splits_final.json").write_text(json.dumps([{"train": train, "val": val}]))


def rewritten(name, change, spacing=1.0):
    def damage(root):
        image: Any = nibabel.load(root / name)
        affine = np.diag([spacing, spacing, spacing, 1.0]) @ image.affine
        nibabel.save(nibabel.Nifti1Image(change(np.asarray(image.dataobj)), affine), root / name)

    return damage


def removed(name):
    return lambda root: (root / name).unlink()


DAMAGE = {
    "other_channels": (said(channel_names={"0": "T1", "1": "T2"}), "has _0000, but dataset.json names 2 channel(s)"),
    "regions": (said(labels={"background": 0, "heart": [1, 2], "pool": 2}), "labels: heart: regions"),
    "ending": (said(file_ending=".png"), "file_ending: '.png' is none of .nii.gz"),
    "no_test_label": (removed(f"labelsTs/t2{ENDING}"), f"labelsTs/t2{ENDING}: missing, its image is in imagesTs"),
    "twice": (
        lambda root: shutil.copytree(root / "imagesTr", root / "imagesUn"),
        "imagesUn/p00: imagesTr or imagesTs has a case of that name too",
    ),
    "label_grid": (rewritten(f"labelsTr/p01{ENDING}", lambda label: label, 2.0), "lies on another grid"),
    "fold_both": (folds(TEN, [TEN[1]]), "trains and validates on the same patients: p01"),
    "value": (said(labels={"background": 0, "wall": 1}), f"labelsTr/p00{ENDING}: holds 2, no name in dataset.json"),
    "ignore": (said(labels={"background": 0, "wall": 1, "ignore": 2}), "labels: ignore: voxels that nobody"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_flawed_folder_is_refused(name, sound, tmp_path, monkeypatch):
    damage, text = DAMAGE[name]
    damage(Path(shutil.copytree(sound, tmp_path / "raw")))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(HarnessError) as refused:
        prepare_scans(tmp_path / "raw", "own", Choices())
    assert text in str(refused.value)
    assert not (tmp_path / "cache").exists(), "nothing half done"


def test_patients_that_are_too_few_are_refused(sound, tmp_path):
    with pytest.raises(HarnessError, match="1 training patients with labels; 2 are needed"):
        prepare_scans(sound, "own", Choices(patient="(p0|t)"), tmp_path / "to")
