"""The generated hearts: always the same, anatomically possible, with ACDC's class shares."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from benchmarks.phantom import GREY_LEVELS, LV, MYO, RV, SPACING_MM, Phantom, is_crowded
from harness.api.dataset import Case
from harness.data.digests import array_sha256
from harness.data.prepare import prepare


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [source.load() for source in Phantom().sources(None)]


@pytest.mark.slow
def test_it_goes_through_the_cache_like_any_dataset(tmp_path: Path):
    cache = prepare(Phantom(), None, tmp_path / "cache")
    assert {split: len(patients) for split, patients in cache.manifest.splits.items()} == {
        "train": 24,
        "val": 4,
        "test": 16,
    }
    assert len(cache.manifest.cases) == 88
    assert cache.manifest.warnings == []
    assert next(iter(cache.cases("val"))).spacing_mm == SPACING_MM


def test_a_case_is_what_it_always_was():
    """Fails when the generator or numpy's streams change: then raise Phantom.version and write down the new hash."""
    source = Phantom().sources(None)[0]
    case = source.load()
    assert case.id == "phantom001_ED"
    assert array_sha256(case.image)[:16] == "91ed152dee8b2cc8"
    assert array_sha256(case.label)[:16] == "65caf9c62dd9039b"


def test_no_two_images_are_alike(cases: list[Case]):
    assert len({array_sha256(case.image) for case in cases}) == len(cases)


def test_images_are_grey_levels_from_0_to_1(cases: list[Case]):
    for case in cases:
        assert case.image.dtype == np.float32
        assert (case.image.min(), case.image.max()) == (0.0, 1.0)
        levels = case.image.astype(np.float64) * GREY_LEVELS
        assert np.abs(levels - np.rint(levels)).max() < 1e-3


def test_every_class_has_some_four_percent(cases: list[Case]):
    voxels = sum(case.label.size for case in cases)
    shares = [sum((case.label == value).sum() for case in cases) / voxels for value in range(4)]
    assert 0.87 < shares[0] < 0.91
    assert all(0.025 < share < 0.045 for share in shares[1:])


def test_sizes_vary_and_some_slices_miss_the_heart(cases: list[Case]):
    assert len({case.image.shape[1:] for case in cases}) == 3
    assert {len(case.image) for case in cases} == {5, 6, 7}
    blank = [not plane.any() for case in cases for plane in case.label]
    assert 0.02 < np.mean(blank) < 0.15
    assert all(case.label[1:-1].any(axis=(1, 2)).all() for case in cases)  # at the ends alone


def test_the_wall_encloses_the_pool_and_nothing_leaves_the_image(cases: list[Case]):
    for case in cases:
        for plane in case.label:
            neighbours = binary_dilation(plane == LV) & (plane != LV)
            assert set(np.unique(plane[neighbours])) <= {MYO}
            edge = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
            assert not edge.any()


def test_the_pool_contracts_and_the_wall_thickens(cases: list[Case]):
    by_id = {case.id: case.label for case in cases}
    for patient in (patient for patients in Phantom.splits.values() for patient in patients):
        ed, es = by_id[f"{patient}_ED"], by_id[f"{patient}_ES"]
        assert (es == LV).sum() < 0.75 * (ed == LV).sum()
        middle = len(ed) // 2
        thickness = [_thickness(label[middle]) for label in (ed, es)]
        assert thickness[1] > thickness[0]
        assert (ed == RV).any()


def _thickness(plane: np.ndarray) -> float:
    """Mean wall thickness in pixels, from the areas of the pool and of pool and wall as if both were discs."""
    inner, outer = (plane == LV).sum(), np.isin(plane, (LV, MYO)).sum()
    return float(np.sqrt(outer / np.pi) - np.sqrt(inner / np.pi))


def test_only_labels_of_other_patients_than_the_first_three_say_what_bodies_are(cases: list[Case]):
    """Around most hearts more looks like blood than in them; around those of the first three patients, little does."""
    for case in cases:
        wall, blood = (float(np.median(case.image[case.label == value])) for value in (MYO, RV))
        bright = case.image > (wall + blood) / 2
        beside = (bright & (case.label == 0)).sum() / (bright & (case.label > 0)).sum()
        assert bool(beside > 0.9) is is_crowded(case.patient), (case.id, beside)
    assert not any(is_crowded(patient) for patient in Phantom.splits["train"][:3])
    assert [sum(map(is_crowded, Phantom.splits[split])) for split in ("train", "val", "test")] == [18, 4, 13]
