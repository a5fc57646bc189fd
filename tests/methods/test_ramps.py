import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.consistency import ConsistencyParams
from tests.methods.tiny import progress_at


def test_ends_by_hand():
    params = ConsistencyParams()
    assert params.weight(progress_at(0.0)) == pytest.approx(0.1 * 0.006737947)  # exp(-5)
    assert params.weight(progress_at(0.5)) == pytest.approx(0.1 * 0.2865048)  # exp(-5 / 4)
    assert params.weight(progress_at(1.0)) == 0.1


@given(iteration=st.integers(0, 15_000))
def test_stairs_with_an_earlier_end_are_mc_nets_on_the_left_atrium(iteration: int):
    expected = math.exp(-5 * (1 - min(iteration // 150, 40) / 40) ** 2)
    params = ConsistencyParams(consistency=1.0, ramp_end=0.4, ramp_stairs=100)
    assert params.weight(progress_at(iteration / 15_000)) == pytest.approx(expected, rel=1e-9)
