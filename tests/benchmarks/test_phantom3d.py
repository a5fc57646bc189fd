"""The generated atria: always the same, one piece each, with LA's class share, and no threshold that finds them."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from benchmarks.generated.solids import ellipsoid, tube
from benchmarks.phantom3d import SPACING_MM, Phantom3D, is_enhanced
from harness.api.dataset import Case
from harness.data.digests import array_sha256
from harness.data.prepare import prepare


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [source.load() for source in Phantom3D().sources(None)]


@pytest.mark.slow
def test_it_goes_through_the_cache_like_any_dataset(tmp_path: Path):
    cache = prepare(Phantom3D(), None, tmp_path / "cache")
    assert [len(patients) for patients in cache.manifest.splits.values()] == [20, 4, 6]
    assert len(cache.manifest.cases) == 30
    assert cache.manifest.warnings == []
    assert next(iter(cache.cases("val"))).spacing_mm == SPACING_MM


def test_a_case_is_what_it_always_was():
    """Fails when the generator or numpy's streams change: then raise Phantom3D.version and write down the new hash."""
    case = Phantom3D().sources(None)[0].load()
    assert case.id == "atrium001"
    assert array_sha256(case.image)[:16] == "821c0d4ed108b98c"
    assert array_sha256(case.label)[:16] == "0d78082d492fed7a"


def test_volumes_are_like_las(cases: list[Case]):
    assert len({array_sha256(case.image) for case in cases}) == len(cases)
    for case in cases:
        assert (case.image.dtype, case.label.dtype) == (np.dtype(np.float32), np.dtype(np.uint8))
        assert case.image.mean(dtype=np.float64) == pytest.approx(0, abs=1e-6)
        assert case.image.std(dtype=np.float64) == pytest.approx(1, abs=1e-6)
        assert all(
            low <= side <= high for side, low, high in zip(case.image.shape, (48, 44, 24), (64, 52, 28), strict=True)
        )
    assert 0.07 < np.mean([case.label.mean() for case in cases]) < 0.11


def test_an_atrium_is_one_piece_inside_the_volume(cases: list[Case]):
    for case in cases:
        assert label(case.label)[1] == 1
        borders = [case.label.take(end, axis) for axis in range(3) for end in (0, -1)]
        assert not any(border.any() for border in borders)


def test_veins_leave_the_chamber_on_both_sides(cases: list[Case]):
    """The outermost x planes of a label hold a thin structure, much smaller than the middle one."""
    for case in cases:
        areas = case.label.sum(axis=(1, 2))
        inside = np.flatnonzero(areas)
        ends = areas[[inside[1], inside[-2]]]
        assert (ends < 0.2 * areas.max()).all()


def test_the_wall_is_enhanced_in_two_of_five_patients(cases: list[Case]):
    for case in cases:
        atrium = case.label == 1
        rim = binary_dilation(atrium, iterations=2) & ~binary_dilation(atrium)
        outside = binary_dilation(atrium, iterations=4) & ~binary_dilation(atrium, iterations=3)
        blood, wall, beyond = (float(np.median(case.image[mask])) for mask in (atrium, rim, outside))
        assert blood > beyond
        if is_enhanced(case.patient):
            assert wall > beyond
    assert not any(is_enhanced(patient) for patient in Phantom3D.splits["train"][:3])
    assert [sum(map(is_enhanced, Phantom3D.splits[split])) for split in ("train", "val", "test")] == [8, 1, 3]


def test_no_threshold_finds_the_atrium(cases: list[Case]):
    """Even the best threshold of each volume, chosen with its label at hand, stays far from a segmentation."""
    best = []
    for case in cases:
        truth = case.label == 1
        scores = []
        for cut in np.quantile(case.image, np.linspace(0.5, 0.98, 13)):
            found = case.image > cut
            scores.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
        best.append(max(scores))
    assert np.mean(best) < 0.6


def test_solids_by_hand():
    distance = ellipsoid((9, 5, 3), (4, 2, 1), (4, 2, 1))
    assert (distance[4, 2, 1], distance[0, 2, 1], distance[4, 0, 1], distance[4, 2, 0]) == (0, 1, 1, 1)
    away = tube((9, 5, 3), (2, 2, 1), (6, 2, 1))
    assert (away[4, 2, 1], away[4, 0, 1], away[0, 2, 1], away[8, 2, 1]) == (0, 2, 2, 2)
