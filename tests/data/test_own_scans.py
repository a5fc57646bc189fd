import json

import nibabel
import numpy as np
import pytest
import torch

from harness.api import DataError
from harness.data.mapped import map_cases
from harness.data.own.prepare import Choices, prepare_scans
from harness.data.own.shape import choose_axes
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.records.schema import Preprocessing
from harness.suite.registry import load_dataset
from tests.data.raw_format import ENDING, SHAPE, voxels_of, write_folder

TEN = [f"p{number:02}" for number in range(10)]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))


def prepared(root, **choices):
    return prepare_scans(root, "own", Choices(**choices))


def test_a_folder_becomes_a_dataset_that_suites_name(tmp_path):
    cache = prepared(write_folder(tmp_path / "raw", {"Tr": TEN}))
    dataset = load_dataset("own")
    assert (dataset.dimension, dataset.channels, dataset.classes) == (3, 1, ("background", "wall", "pool"))
    assert [len(dataset.splits[split]) for split in ("train", "val", "test")] == [7, 1, 2]
    assert sorted(patient for patients in dataset.splits.values() for patient in patients) == TEN
    case = next(iter(cache.cases("train")))
    grey, label = voxels_of(case.id)
    np.testing.assert_array_equal(case.label, label)
    np.testing.assert_allclose(case.image, (grey[0] - grey.mean()) / grey.std(), atol=1e-5)
    assert case.spacing_mm == (1.5, 1.0, 1.0)
    assert prepared(tmp_path / "raw").manifest == cache.manifest, "the same folder again"
    other = write_folder(tmp_path / "more", {"Tr": [*TEN, "p10"]})
    with pytest.raises(
        DataError, match=rf"own: holds other data, 10 .*{cache.manifest.checksum[:10]}; .*{other} are 11 "
    ):
        prepared(other)


def test_images_without_labels_join_the_unlabelled_stream(tmp_path):
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
def test_channels_stay_together(size, augmentation, tmp_path):
    raw = write_folder(tmp_path / "raw", {"Tr": TEN[:4]}, channels=("T1", "noNorm"))
    for path in (raw / "imagesTr").glob(f"*_0000{ENDING}"):  # the second channel is the label
        label = nibabel.load(raw / "labelsTr" / f"{path.name[:3]}{ENDING}")
        nibabel.save(label, path.with_name(path.name.replace("_0000", "_0001")))
    cases = map_cases(prepared(raw, dimension=len(size)), "train", Preprocessing(size=size))
    kind = Volumes if len(size) == 3 else Slices
    data = kind.load(cases, cases.patients, CPU)
    index = data.labelled[8:12] if len(size) == 2 else data.labelled
    images, labels = data.sampler(0, augmentation)._annotated(index)
    assert images.shape == (len(index), 2, *size)
    assert data.example.shape == (1, 2, *size)
    assert images[:, 0].std() > 0.1
    agreement = torch.corrcoef(torch.stack([images[:, 1].flatten(), labels.flatten().float()]))[0, 1]
    assert agreement > (0.6 if augmentation == "nnunet" else 0.999)


def test_ct_is_clipped_by_the_foreground_of_the_training_split(tmp_path):
    cache = prepared(write_folder(tmp_path / "raw", {"Tr": TEN}, channels=("CT",)))
    channel = cache.manifest.preparation.channels[0]
    pairs = [voxels_of(id_) for id_ in cache.manifest.splits["train"]]
    values = np.concatenate([grey[0][label > 0] for grey, label in pairs])
    low, high = np.percentile(values, (0.5, 99.5))
    expected = (low, high, values.mean(), values.std())
    numbers = (channel.low, channel.high, channel.mean, channel.deviation)
    np.testing.assert_allclose(np.array(numbers, float), expected, rtol=1e-6)
    case = next(iter(cache.cases("val")))
    grey = voxels_of(case.id)[0][0]
    np.testing.assert_allclose(case.image, (grey.clip(low, high) - values.mean()) / values.std(), atol=1e-5)


def test_axes_of_files_are_put_alike_and_slices_lie_along_the_thick_side(tmp_path):
    raw = write_folder(tmp_path / "raw", {"Tr": TEN[:4]}, spacing=lambda _: (1.0, 1.0, 5.0))
    affine = np.array([[0, 1, 0, 0], [-1, 0, 0, 17], [0, 0, 5, 0], [0, 0, 0, 1.0]])
    for path in [*raw.glob("imagesTr/*"), *raw.glob("labelsTr/*")]:
        array = np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(1, 0, 2)[::-1]), affine), path)
    case = next(iter(prepared(raw).cases("train")))
    assert load_dataset("own").dimension == 2
    assert case.spacing_mm == (5.0, 1.0, 1.0)
    np.testing.assert_array_equal(case.label, voxels_of(case.id)[1].transpose(2, 1, 0))


def test_volumes_are_trained_on_at_the_median_voxel_size_and_scored_at_their_own(tmp_path):
    sizes = dict(zip(TEN, [(1.0, 1.0, 1.0)] * 6 + [(2.0, 1.0, 1.5)] * 4, strict=True))
    raw = write_folder(tmp_path / "raw", {"Tr": TEN}, spacing=sizes.__getitem__)
    cache = prepared(raw)
    assert cache.manifest.preparation.spacing_mm == (1.0, 1.0, 1.0)
    by_size = {case.spacing_mm: case for case in cache.manifest.cases}
    assert by_size[2.0, 1.0, 1.5].grid == (40, 18, 18)
    assert by_size[1.0, 1.0, 1.0].grid is None
    cases = map_cases(cache, "train", Preprocessing(size=(16, 16, 16)))
    for case, image, label in cases.volumes():
        assert image.shape == (1, *(case.grid or case.shape))
        assert label.shape == SHAPE
    left = prepare_scans(raw, "left", Choices(resample=False)).manifest
    assert {case.grid for case in left.cases} == {None}


def test_no_scan_is_tested_at_another_voxel_size_than_was_trained_on(tmp_path):
    sizes = {**dict.fromkeys(TEN, (1.5, 1.5, 1.5)), "t1": None}
    raw = write_folder(tmp_path / "raw", {"Tr": TEN[:3], "Ts": ["t1"]}, spacing=sizes.__getitem__)
    with pytest.raises(DataError, match=r"t1: voxel size unknown, and volumes are brought to \(1.5, 1.5, 1.5\) mm"):
        prepared(raw)
    assert prepared(raw, resample=False).manifest.preparation.spacing_mm is None


def test_scans_without_geometry_take_what_is_declared(tmp_path):
    raw = write_folder(tmp_path / "raw", {"Tr": TEN[:3]}, spacing=lambda _: None)
    with pytest.raises(DataError, match="give --dimension, or --spacing-mm"):
        prepared(raw)
    cache = prepared(raw, spacing_mm=(0.5, 0.5, 0.8))
    assert cache.manifest.preparation.orientation == "stored"
    assert {case.spacing_mm for case in cache.manifest.cases} == {(0.5, 0.5, 0.8)}
    assert "--spacing-mm" in cache.manifest.spacing_source
    unknown = prepare_scans(raw, "unknown", Choices(dimension=3)).manifest
    assert {case.spacing_mm for case in unknown.cases} == {None}
    with pytest.raises(DataError, match="--resample: the voxel size of"):
        prepare_scans(raw, "asked", Choices(dimension=3, resample=True))


def test_scans_of_a_patient_stay_in_one_split(tmp_path, caplog):
    ids = [f"p{number}_{visit}" for number in range(5) for visit in "ab"]
    raw = write_folder(tmp_path / "raw", {"Tr": ids, "Un": [f"p{number}_c" for number in range(6)]})
    with caplog.at_level("INFO"):
        cache = prepared(raw, patient=r"(p\d)_")
    assert "patient p3: p3_a, p3_b, p3_c" in caplog.text
    assert {case.split for case in cache.manifest.cases if case.patient == "p3"} in ({"train"}, {"val"}, {"test"})
    assert cache.manifest.unlabelled == ("p5",)
    train = set(cache.manifest.splits["train"])
    unlabelled = {case.patient for case in cache.manifest.cases if not case.annotated}
    assert unlabelled <= train, "no scan of a validation or test patient is trained on"
    assert "left out, without labels and of patients of the validation or test split: " in caplog.text


def test_the_folders_own_splits_are_kept(tmp_path):
    raw = write_folder(tmp_path / "raw", {"Tr": TEN, "Ts": ["t1", "t2"]})
    fold = {"train": TEN[:0:-1], "val": TEN[:1]}
    (raw / "splits_final.json").write_text(json.dumps([fold, {"train": TEN[1:], "val": TEN[:1]}]))
    splits = prepared(raw).manifest.splits
    assert splits == {"train": fold["train"], "val": fold["val"], "test": ["t1", "t2"]}


@pytest.mark.parametrize(
    ("shape", "spacing", "dimension", "expected"),
    [
        ((512, 512, 90), (0.8, 0.8, 3.0), None, (2, (2, 1, 0))),
        ((90, 512, 512), (3.0, 0.8, 0.8), None, (2, (0, 2, 1))),
        ((200, 200, 80), (0.6, 0.6, 1.25), None, (3, (0, 1, 2))),
        ((200, 200, 80), (0.6, 0.6, 1.25), 2, (2, (2, 1, 0))),
    ],
)
def test_thick_voxels_are_taken_slice_by_slice(shape, spacing, dimension, expected):
    assert choose_axes([shape] * 3, [spacing] * 3, dimension) == expected
