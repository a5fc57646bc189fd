import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.evaluation.predict import keep_largest


def test_each_class_keeps_its_own_largest():
    labels = np.array([[1, 1, 0, 2, 0], [0, 0, 0, 0, 0], [1, 0, 2, 2, 2]], np.uint8)
    assert keep_largest(labels).tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 2, 2, 2]]


def test_corners_connect():
    diagonal = np.zeros((4, 4, 4), np.uint8)
    diagonal[range(3), range(3), range(3)] = 1
    diagonal[0, 3, 2:] = 1
    kept = keep_largest(diagonal)
    assert kept.sum() == 3
    assert kept[2, 2, 2] == 1


def test_of_equals_the_first_stays_and_nothing_stays_nothing():
    assert keep_largest(np.array([[1, 0, 1]], np.uint8)).tolist() == [[1, 0, 0]]
    assert keep_largest(np.zeros((2, 3), np.uint8)).tolist() == [[0, 0, 0], [0, 0, 0]]


@given(seed=st.integers(0, 200))
def test_nothing_is_added_and_the_second_time_changes_nothing(seed: int):
    labels = np.random.default_rng(seed).integers(0, 3, (5, 6, 7)).astype(np.uint8)
    kept = keep_largest(labels)
    assert ((kept == labels) | (kept == 0)).all()
    assert set(np.unique(kept)) == set(np.unique(labels)) | {0}
    np.testing.assert_array_equal(keep_largest(kept), kept)
