import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import UsageError
from harness.data.subsets import labelled_patients, validation_patients

ORDER = tuple(f"patient{number:03d}" for number in (99, 38, 50, 100, 58, 21, 49, 20, 72, 40))


def test_subset_0_is_the_head_of_the_published_list():
    assert labelled_patients(ORDER, 3, 0, "acdc") == ("patient099", "patient038", "patient050")


def test_a_drawn_subset_is_what_it_always_was():
    keys = {patient: hashlib.sha256(b"acdc:1:" + patient.encode()).hexdigest() for patient in ORDER}
    assert labelled_patients(ORDER, 3, 1, "acdc") == tuple(sorted(ORDER, key=keys.__getitem__)[:3])
    assert labelled_patients(ORDER, 3, 1, "acdc") == ("patient072", "patient050", "patient040")  # written down once


@given(count=st.integers(1, 10), subset=st.integers(1, 50), shuffled=st.permutations(ORDER))
def test_drawn_subsets_are_nested_and_do_not_depend_on_the_order(count, subset, shuffled):
    chosen = labelled_patients(ORDER, count, subset, "acdc")
    assert len(set(chosen)) == count
    assert labelled_patients(shuffled, count, subset, "acdc") == chosen
    assert labelled_patients(ORDER, 10, subset, "acdc")[:count] == chosen


@pytest.mark.parametrize(("count", "subset"), [(0, 0), (11, 1), (3, -1)])
def test_impossible_subsets_are_refused(count, subset):
    with pytest.raises(UsageError, match="subsets count from 0" if subset < 0 else "has 10 training patients"):
        labelled_patients(ORDER, count, subset, "acdc")


def test_validation_patients_are_drawn_for_a_purpose_of_their_own():
    keys = {patient: hashlib.sha256(b"acdc:validation:" + patient.encode()).hexdigest() for patient in ORDER}
    drawn = sorted(ORDER, key=keys.__getitem__)[:3]
    assert validation_patients(ORDER, 3, "acdc") == tuple(patient for patient in ORDER if patient in drawn)
    assert validation_patients(ORDER, None, "acdc") == validation_patients(ORDER, 10, "acdc") == ORDER
