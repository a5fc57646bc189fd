"""The generated atria: always the same, one piece each, with LA's class share, and no threshold that finds them."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from benchmarks.phantom3d import Phantom3D, is_enhanced
from harness.api.dataset import Case
from harness.data.digests import array_sha256


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [source.load() for source in Phantom3D().sources(None)]


def test_a_case_is_what_it_always_was():
    """Fails when the generator or numpy's streams change: then raise Phantom3D.version and write down the new hash."""
    case = Phantom3D().sources(None)[0].load()
    assert case.id == "atrium001"
    assert array_sha256(case.image)[:16] == "821c0d4ed108b98c"
    assert array_sha256(case.label)[:16] == "0d78082d492fed7a"


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
