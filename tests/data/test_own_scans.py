"""Scans in nnU-Net's raw format: what is prepared, what joins which split, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from harness.api.errors import DataError
from harness.data.cache import Cache
from harness.data.mapped import map_cases
from harness.data.own.prepare import Choices, prepare_scans
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.records.schema import Preprocessing
from harness.suite.registry import load_dataset
from tests.data.raw_format import ENDING, voxels_of, write_folder

TEN = [f"p{number:02}" for number in range(10)]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def prepared(root: Path, **choices: Any) -> Cache:
    return prepare_scans(root, "own", Choices(**choices))


def test_a_folder_becomes_a_dataset_that_suites_name(tmp_path: Path) -> None:
    cache = prepared(write_folder(tmp_path / "raw", {"Tr": TEN}))
    dataset = load_dataset("own")
    assert (dataset.dimension, dataset.channels, dataset.classes) == (3, 1, ("background", "wall", "pool"))
    assert [len(dataset.splits[split]) for split in ("train", "val", "test")] == [7, 1, 2]
    assert sorted(patient for patients in dataset.splits.values() for patient in patients) == TEN
    case = next(iter(cache.cases("train")))
    grey, label = voxels_of(sum(map(ord, case.id)))
    np.testing.assert_array_equal(case.label, label)
    np.testing.assert_allclose(case.image, (grey[0] - grey.mean()) / grey.std(), atol=1e-5)
    assert case.spacing_mm == (1.5, 1.0, 1.0)
    assert prepared(tmp_path / "raw").manifest == cache.manifest, "the same folder again"
    with pytest.raises(DataError, match="other data"):
        prepared(tmp_path / "raw", seed=1)


def test_images_without_labels_join_the_unlabelled_stream(tmp_path: Path) -> None:
    cache = prepared(write_folder(tmp_path / "raw", {"Tr": [*TEN, "q1u"], "Un": ["r1", "r2"]}))
    assert load_dataset("own").unlabelled == cache.manifest.unlabelled == ("q1u", "r1", "r2")
    assert "3 of 10 training patients have no labels" in cache.manifest.warnings[0]
    cases = map_cases(cache, "train", Preprocessing(size=(16, 16, 16)))
    assert len(cases.annotated_patients) == 7
    volumes = Volumes.load(cases, cases.patients, CPU)
    assert [cases.cases[number].id for number in volumes.unlabelled.tolist()] == ["q1u", "r1", "r2"]
    assert len(volumes.labelled) == 7
    blank = [case for case in cache.cases("train") if not case.annotated]
    assert [case.id for case in blank] == ["q1u", "r1", "r2"]
    assert not any(case.label.any() for case in blank)


@pytest.mark.parametrize("size", [(16, 16), (16, 16, 16)])
@pytest.mark.parametrize("augmentation", ["none", "weak", "nnunet"])
def test_channels_stay_together(size: tuple[int, ...], augmentation: Any, tmp_path: Path) -> None:
    raw = write_folder(tmp_path / "raw", {"Tr": TEN[:4]}, channels=("T1", "noNorm"))
    for path in (raw / "imagesTr").glob(f"*_0000{ENDING}"):  # the second channel is the label
        label = nibabel.load(raw / "labelsTr" / f"{path.name[:3]}{ENDING}")
        nibabel.save(label, path.with_name(path.name.replace("_0000", "_0001")))
    cases = map_cases(prepared(raw, dimension=len(size)), "train", Preprocessing(size=size))
    kind = Volumes if len(size) == 3 else Slices
    data = kind.load(cases, cases.patients, CPU)
    index = data.labelled[3:8] if len(size) == 2 else data.labelled
    images, labels = data.sampler(0, augmentation)._annotated(index)
    assert images.shape == (len(index), 2, *size)
    assert data.example.shape == (1, 2, *size)
    assert images[:, 0].std() > 0.1
    agreement = torch.corrcoef(torch.stack([images[:, 1].flatten(), labels.flatten().float()]))[0, 1]
    assert agreement > (0.6 if augmentation == "nnunet" else 0.999)


def test_ct_is_clipped_by_the_foreground_of_the_training_split(tmp_path: Path) -> None:
    cache = prepared(write_folder(tmp_path / "raw", {"Tr": TEN}, channels=("CT",)))
    assert cache.manifest.preparation is not None
    channel = cache.manifest.preparation.channels[0]
    pairs = [voxels_of(sum(map(ord, id_))) for id_ in cache.manifest.splits["train"]]
    values = np.concatenate([grey[0][label > 0] for grey, label in pairs])
    low, high = np.percentile(values, (0.5, 99.5))
    expected = (low, high, values.mean(), values.std())
    numbers = (channel.low, channel.high, channel.mean, channel.deviation)
    np.testing.assert_allclose(np.array(numbers, float), expected, rtol=1e-6)
    case = next(iter(cache.cases("val")))
    grey = voxels_of(sum(map(ord, case.id)))[0][0]
    np.testing.assert_allclose(case.image, (grey.clip(low, high) - values.mean()) / values.std(), atol=1e-5)


def test_axes_of_files_are_put_alike_and_slices_lie_along_the_thick_side(tmp_path: Path) -> None:
    raw = write_folder(tmp_path / "raw", {"Tr": TEN[:4]}, spacing=lambda _: (1.0, 1.0, 5.0))
    affine = np.array([[0, 1, 0, 0], [-1, 0, 0, 17], [0, 0, 5, 0], [0, 0, 0, 1.0]])
    for path in [*raw.glob("imagesTr/*"), *raw.glob("labelsTr/*")]:
        array = np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(1, 0, 2)[::-1]), affine), path)
    case = next(iter(prepared(raw).cases("train")))
    assert load_dataset("own").dimension == 2
    assert case.spacing_mm == (5.0, 1.0, 1.0)
    np.testing.assert_array_equal(case.label, voxels_of(sum(map(ord, case.id)))[1].transpose(2, 1, 0))
