import numpy as np
import pytest

from benchmarks.la import LA
from benchmarks.la_8020 import LA8020
from benchmarks.la_label_free import LALabelFree
from benchmarks.layouts.crops import LEAST, body_crop, legacy_crop
from harness.api import DataError
from harness.data.prepare import prepare
from harness.data.subsets import labelled_patients
from tests.data.small_la import (
    BODY,
    PATIENTS,
    SHAPE,
    SPACING_MM,
    SmallLA,
    SmallLALabelFree,
    cropped,
    voxels,
    write_official,
    write_ua_mt,
)


def load(root, dataset):
    return {source.id: source.load() for source in dataset.sources(root)}


def test_the_splits_are_the_literatures_with_the_last_eight_held_out():
    sizes = {split: len(patients) for split, patients in LA.splits.items()}
    assert sizes == {"train": 72, "val": 8, "test": 20}
    assert LALabelFree.splits == LA.splits
    assert LA8020.splits["train"] == LA.splits["train"] + LA.splits["val"]
    assert LA8020.splits["val"] == ()
    assert LA8020.splits["test"] == LA.splits["test"]
    assert len({patient for patients in LA.splits.values() for patient in patients}) == 100
    assert list(LA8020.splits["train"]) == sorted(LA8020.splits["train"]), "as published: by id"


def test_subset_zero_is_the_literatures():
    four = ("06SR5RBREL16DQ6M8LWS", "0RZDK210BSMWAA6467LU", "1D7CUD1955YZPGK8XHJX", "1GU15S0GJ6PFNARO469W")
    eight = (*four, "1MHBF3G6DCPWHSKG7XCP", "23X6SY44VT9KFHR7S7OC", "2XL5HSFSE93RMOJDRGR4", "38CWS74285MFGZZXR09Z")
    for dataset in (LA, LA8020, LALabelFree):
        order = dataset.splits["train"]
        assert labelled_patients(order, 4, 0, dataset.name) == four
        assert labelled_patients(order, 8, 0, dataset.name) == eight
        assert labelled_patients(order, 16, 0, dataset.name)[:8] == eight


@pytest.mark.parametrize("inner", ["", "2018LA_Seg_Training Set"])
def test_h5_volumes_are_taken_as_they_are(tmp_path, inner):
    root = write_ua_mt(tmp_path, inner)
    assert SmallLA().recognise(root) == "ua_mt-h5"
    cases = load(root, SmallLA())
    assert cases.keys() == set(PATIENTS)
    for patient, case in cases.items():
        image, label = cropped(patient)
        np.testing.assert_array_equal(case.image, image)
        np.testing.assert_array_equal(case.label, label)
        assert case.image.dtype == np.float32
        assert case.label.dtype == np.uint8
        assert case.spacing_mm is None
        assert case.phase is None


@pytest.mark.parametrize("inner", ["", "Training Set"])
def test_official_volumes_are_normalised_whole_and_then_cropped(tmp_path, inner):
    root = write_official(tmp_path, inner)
    assert SmallLA().recognise(root) == "official"
    for patient, case in load(root, SmallLA()).items():
        grey, marked = voxels(patient)
        whole = (grey - grey.mean()) / grey.std()
        box = legacy_crop(patient, marked)
        np.testing.assert_allclose(case.image, whole[box], atol=1e-6)
        np.testing.assert_array_equal(case.label, marked[box] == 255)
        assert case.label.sum() == (marked == 255).sum()
        assert case.image.mean() > 0.3, "the crop is brighter than the whole, whose mean is 0"
        assert case.spacing_mm == SPACING_MM


def test_the_label_free_track_keeps_the_body(tmp_path):
    for case in load(write_official(tmp_path), SmallLALabelFree()).values():
        for side, whole, (low, high) in zip(case.image.shape, SHAPE, BODY, strict=False):
            assert high - low <= side < whole
        assert case.image.shape[2] == SHAPE[2]
        assert case.label.sum() == 40 * 30 * 7


def test_margins_of_the_legacy_crop():
    """10 to 19 voxels on each side of the atrium widened to 112, the same whenever a patient is read."""
    label = np.zeros((400, 300, 4), np.uint8)
    label[150:280, 100:160, 1:3] = 1  # 130 wide in x, 60 in y, which becomes 112: 74 to 186
    margins = set()
    for patient in map(str, range(60)):
        x, y, z = legacy_crop(patient, label)
        margins |= {150 - x.start, x.stop - 280, 74 - y.start, y.stop - 186}
        assert z == slice(None)
        assert legacy_crop(patient, label) == (x, y, z)
    assert margins == set(range(10, 20))


def test_the_body_box_ignores_the_label_unless_it_would_cut_it():
    grey, marked = voxels(PATIENTS[0])
    label = (marked == 255).astype(np.uint8)
    box = body_crop(grey, label)
    elsewhere = np.zeros_like(label)
    elsewhere[70:90, 70:90] = 1
    assert body_crop(grey, elsewhere) == box
    elsewhere[:2, 0, 0] = 1
    with pytest.raises(DataError, match="2 voxels of the atrium lie outside"):
        body_crop(grey, elsewhere)


@pytest.mark.slow
def test_real_volumes(la_scans, tmp_path):
    cache = prepare(SmallLA(), la_scans, tmp_path / "cache")
    assert (cache.manifest.layout, cache.manifest.track, cache.manifest.warnings) == ("ua_mt-h5", "legacy_crop", [])
    train = list(cache.cases("train"))
    first = train[0]
    assert first.id == "06SR5RBREL16DQ6M8LWS"
    assert first.image.shape == (183, 140, 88)
    assert first.label.sum(dtype=np.int64) == 154_296
    assert first.image.mean(dtype=np.float64) == pytest.approx(1.4584, abs=1e-3)
    assert first.image.std(dtype=np.float64) == pytest.approx(1.6454, abs=1e-3)
    assert first.image.min() == pytest.approx(-0.7704, abs=1e-4), "black, since the whole volume was normalised"
    for case in train:
        assert 0.05 < case.label.mean() < 0.16
        for axis in (0, 1):
            inside = np.flatnonzero(case.label.any(axis=(1 - axis, 2)))
            before, after = inside[0], case.label.shape[axis] - 1 - inside[-1]
            lack = max(LEAST - (inside[-1] - inside[0] + 1), 0) / 2
            assert 9 <= before - lack <= 20, "the rule of legacy_crop, give or take a voxel"
            assert 8 <= after - lack <= 20
