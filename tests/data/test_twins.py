import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from harness.api import Case
from harness.data.case_pairs import check_pairs
from harness.data.digests import array_sha256
from harness.data.twins import TURNS, find_twins, turned
from tests.data.small_acdc import SmallACDC

Z, SIDE = 9, 64


def scan(patient, split, frame=1):
    rng = np.random.default_rng([int(patient[-3:]), 7])
    parts = [gaussian_filter(rng.normal(size=(Z, SIDE, SIDE)), (0.6, width, width)) for width in (2, 5)]
    image = sum(part / part.std() for part in parts) + np.random.default_rng(frame).normal(0, 0.3, (Z, SIDE, SIDE))
    organ = gaussian_filter(rng.normal(size=(Z, SIDE, SIDE)), (0, 4, 4))[:, 10:40, 12:44] > 0.05 * frame
    image = (image - image.min()) / (image.max() - image.min())
    padded = np.pad(organ.astype(np.uint8), ((0, 0), (10, SIDE - 40), (12, SIDE - 44)))
    return Case(f"{patient}_frame0{frame}", patient, split, image.astype(np.float32), padded)


OTHERS = [scan(f"patient{number:03d}", "train", frame) for number in range(2, 12) for frame in (1, 2)]
ONE = scan("patient001", "test")


def noise(amount):
    rng = np.random.default_rng(0)
    return lambda image: image + rng.normal(0, amount * image.std(), image.shape)


SAME_SHAPE = {
    "inverted": lambda image: 1 - image,
    "with noise": noise(0.2),
}


def findings(case):
    cases = [*OTHERS, ONE, case]
    images = {each.id: array_sha256(each.image) for each in cases}
    return check_pairs(SmallACDC(), cases, images, {each.id: f"{each.id}.h5" for each in cases})


def twin(image, split, label):
    return Case("patient099_frame01", "patient099", split, np.ascontiguousarray(image, np.float32), label)


NO_LABEL = np.zeros((Z, SIDE, SIDE), np.uint8)


@pytest.mark.parametrize("change", SAME_SHAPE)
@pytest.mark.parametrize("label", [ONE.label, NO_LABEL], ids=["its label", "no label"])
def test_a_changed_scan_is_an_error_across_splits_and_a_warning_within(change, label):
    image = SAME_SHAPE[change](ONE.image)
    (problem,), warnings = findings(twin(image, "train", label))
    assert "patient001_frame01.h5 (test) and patient099_frame01.h5 (train): one scan in two splits" in problem
    assert warnings == []
    problems, (warning,) = findings(twin(image, "test", label))
    assert problems == []
    assert "patient001_frame01 and patient099_frame01 are perhaps one scan" in warning


@pytest.mark.parametrize("turn", TURNS[1:12:3])
def test_a_mirrored_or_turned_scan_is_found(turn):
    image, label = (turned(array, turn) for array in (ONE.image * 2 + 1, ONE.label))
    for annotation in (label, np.zeros(image.shape, np.uint8)):
        problems, _ = findings(twin(image, "train", np.ascontiguousarray(annotation)))
        assert len(problems) == 1, problems


CUT = {
    "one slice alone": lambda array: array[4:5],
    "with slices of another": lambda array: np.concatenate([array[:4], scan("patient400", "test").image[4:]]),
}


@pytest.mark.parametrize("cut", CUT)
def test_slices_of_a_test_scan_are_found_in_training(cut):
    image = CUT[cut](ONE.image) * 0.9
    problems, _ = findings(twin(image, "train", np.zeros(image.shape, np.uint8)))
    assert any("patient001_frame01.h5" in line and "patient099_frame01.h5" in line for line in problems), problems


RESHAPED = {
    "cropped": lambda array: array[:, 6:60, 6:60],
}


@pytest.mark.parametrize("change", RESHAPED)
def test_a_cropped_or_padded_scan_is_found_by_its_label(change):
    image, label = (RESHAPED[change](array) for array in (ONE.image * 0.5, ONE.label))
    (problem,), _ = findings(twin(image, "train", label))
    assert "labels identical, images correlated 1.000 there" in problem


def test_a_label_beside_another_scan_is_found():
    (problem,), _ = findings(twin(scan("patient500", "test").image, "train", ONE.label))
    assert "labels identical, images not: one lies beside another's label" in problem


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(100, 999), st.floats(0.5, 2), st.floats(-1, 1))
def test_two_scans_are_never_taken_for_one(number, scale, shift):
    other = scan(f"patient{number}", "train")
    assert findings(twin(other.image * scale + shift, "train", other.label)) == ([], [])


def test_scans_that_all_lie_alike_are_no_twins():
    """Brains on an atlas: one anatomy, each with its own noise and a little of its own shape."""
    common = scan("patient001", "test").image
    images = [common + scan(f"patient{number}", "train").image / 4 for number in range(300, 320)]
    cases = [Case(f"p{i}", f"p{i}", "train", image.astype(np.float32), NO_LABEL) for i, image in enumerate(images)]
    assert find_twins(cases, 3) == []
