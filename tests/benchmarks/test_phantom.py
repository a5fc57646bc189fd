import numpy as np
import pytest

from benchmarks.phantom import MYO, RV, Phantom, is_crowded
from benchmarks.phantom3d import Phantom3D
from harness.data.digests import array_sha256


@pytest.fixture(scope="module")
def cases():
    return [source.load() for source in Phantom().sources(None)]


@pytest.mark.parametrize(
    ("dataset", "first", "image", "label"),
    [
        (Phantom, "phantom001_ED", "91ed152dee8b2cc8", "65caf9c62dd9039b"),
        (Phantom3D, "atrium001", "821c0d4ed108b98c", "0d78082d492fed7a"),
    ],
)
def test_a_case_is_what_it_always_was(dataset, first, image, label):
    """Fails when the generator or numpy's streams change: then raise the dataset's version and write down the hash."""
    case = dataset().sources(None)[0].load()
    found = [array_sha256(array)[:16] for array in (case.image, case.label)]
    assert (case.id, *found) == (first, image, label)


def test_only_labels_of_other_patients_than_the_first_three_say_what_bodies_are(cases):
    """Around most hearts more looks like blood than in them; around those of the first three patients, little does."""
    for case in cases:
        wall, blood = (float(np.median(case.image[case.label == value])) for value in (MYO, RV))
        bright = case.image > (wall + blood) / 2
        beside = (bright & (case.label == 0)).sum() / (bright & (case.label > 0)).sum()
        assert bool(beside > 0.9) is is_crowded(case.patient), (case.id, beside)
    assert not any(is_crowded(patient) for patient in Phantom.splits["train"][:3])
    assert [sum(map(is_crowded, Phantom.splits[split])) for split in ("train", "val", "test")] == [18, 4, 13]
