import numpy as np
import pytest

from benchmarks.acdc import ACDC
from harness.data.prepare import resolve
from harness.data.subsets import labelled_patients
from tests.data.small_acdc import SPACING_MM, SmallACDC, write_h5, write_official, write_ssl4mis


def load(root):
    return {source.id: source.load() for source in SmallACDC().sources(root)}


def test_the_published_splits_are_the_literatures():
    sizes = {split: len(patients) for split, patients in ACDC.splits.items()}
    assert sizes == {"train": 70, "val": 10, "test": 20}
    everyone = [patient for patients in ACDC.splits.values() for patient in patients]
    assert sorted(everyone) == [f"patient{number:03d}" for number in range(1, 101)]
    first = ["patient099", "patient038", "patient050", "patient100", "patient058", "patient021", "patient049"]
    assert list(ACDC.splits["train"][:7]) == first
    assert {int(patient[-3:]) for patient in ACDC.splits["val"]} == {2, 19, 28, 30, 39, 45, 78, 82, 85, 87}


def test_both_layouts_give_the_same_pixels(tmp_path):
    from_h5, from_nifti = load(write_ssl4mis(tmp_path / "a")), load(write_official(tmp_path / "b"))
    assert from_h5.keys() == from_nifti.keys()
    for id_, case in from_nifti.items():
        np.testing.assert_array_equal(case.image, from_h5[id_].image)
        np.testing.assert_array_equal(case.label, from_h5[id_].label)
        assert (case.split, case.patient) == (from_h5[id_].split, from_h5[id_].patient)
        assert case.spacing_mm == SPACING_MM
        assert case.phase_source == "Info.cfg"
        assert from_h5[id_].phase == ("ED" if id_.endswith("01") else "ES")


def test_phases_come_from_info_cfg_alone(tmp_path):
    phases = {id_: case.phase for id_, case in load(write_official(tmp_path)).items()}
    assert (phases["patient090_frame01"], phases["patient090_frame02"]) == ("ED", "ES")  # frames 04 and 11
    assert (phases["patient011_frame01"], phases["patient011_frame02"]) == ("ES", "ED")  # frames 01 and 12, ED: 12


@pytest.mark.slow
def test_real_scans(scans, tmp_path, said):
    cache = resolve(ACDC(), scans)
    slices = {
        split: [case.shape[0] for case in cache.manifest.cases if case.split == split]
        for split in ("train", "val", "test")
    }
    assert {split: (len(counts), sum(counts)) for split, counts in slices.items()} == {
        "train": (140, 1312),
        "val": (20, 210),
        "test": (40, 380),
    }
    repeated = [
        "patient074_frame01 and patient076_frame01 hold the same pixels (train split)",
        "patient074_frame02 and patient076_frame02 hold the same pixels (train split)",
    ]
    assert cache.manifest.warnings == repeated
    train = list(cache.cases("train"))
    for count, expected in ((3, 68), (7, 136), (14, 256), (None, 1312)):  # counted from the published slice list
        chosen = labelled_patients(cache.manifest.splits["train"], count, 0, "acdc")
        assert sum(len(case.image) for case in train if case.patient in chosen) == expected
    assert len({case.patient for case in train}) == 70
    volumes = {case.id: (case.label == 3).sum() for case in train}
    ids = {case.patient for case in train}
    assert all(volumes[f"{patient}_frame01"] > volumes[f"{patient}_frame02"] for patient in ids)


def test_more_than_nine_slices_stay_in_order(tmp_path):
    root = write_ssl4mis(tmp_path)
    (root / "train_slices.list").unlink()
    for path in (root / "data" / "slices").glob("patient099_frame01_*"):
        path.unlink()
    for z in range(1, 13):  # by name, slice_10 comes before slice_2
        flat = np.full((20, 17), z / 12, np.float32)
        write_h5(root / "data" / "slices" / f"patient099_frame01_slice_{z}.h5", flat, flat.astype(np.uint8))
    image = load(root)["patient099_frame01"].image
    np.testing.assert_allclose(image[:, 0, 0], np.arange(1, 13) / 12, rtol=1e-6)
