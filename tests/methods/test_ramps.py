import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.consistency import ConsistencyParams
from tests.methods.tiny import progress_at


@given(iteration=st.integers(0, 15_000))
def test_stairs_with_an_earlier_end_are_mc_nets_on_the_left_atrium(iteration):
    expected = math.exp(-5 * (1 - min(iteration // 150, 40) / 40) ** 2)
    params = ConsistencyParams(consistency=1.0, ramp_end=0.4, ramp_stairs=100)
    assert params.weight(progress_at(iteration / 15_000)) == pytest.approx(expected, rel=1e-9)
