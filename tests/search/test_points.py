from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api.params import Dimension
from harness.suite.trials import combine_choices, draw_sobol_points

KINDS = ("a", "b", "c", "d")
SPACE = {
    "rate": Dimension(scale="log", values=(0.01, 1.0)),
    "weight": Dimension(scale="linear", values=(0, 8)),
    "kind": Dimension(values=KINDS),
}
KEYS = st.tuples(st.text(max_size=5), st.integers(0, 9), st.integers(0, 1000))


GOLDEN = [
    {"rate": 0.0118403, "weight": 2.07929, "kind": "a"},
    {"rate": 0.101961, "weight": 4.37825, "kind": "c"},
    {"rate": 0.700307, "weight": 0.244654, "kind": "b"},
    {"rate": 0.0607266, "weight": 6.28994, "kind": "d"},
]


@pytest.mark.parametrize("count", [3, 4, 9])
def test_the_points_of_one_key_for_ever(count):
    """Changed points are another search: run ids hang on them. More points leave the first ones alone."""
    assert draw_sobol_points(SPACE, count, ("ua_mt", 0, 100))[:4] == GOLDEN[:count]


@given(key=KEYS, power=st.integers(0, 5))
def test_points_fill_every_dimension_evenly(key, power):
    """Of 2^m points of a scrambled Sobol sequence one lies in each of 2^m equal intervals of each dimension."""
    count = 2**power
    points = draw_sobol_points(SPACE, count, key)
    places = sorted(point["weight"] / 8 * count for point in points)
    assert all(k - 1e-4 <= place <= k + 1 + 1e-4 for k, place in enumerate(places)), "values are rounded"
    if power >= 2:
        assert Counter(point["kind"] for point in points) == dict.fromkeys(KINDS, count // 4)


@pytest.mark.parametrize("key", [("bcp", 0, 100), ("ua_mt", 1, 100), ("ua_mt", 0, 101)])
def test_another_row_study_or_seed_draws_other_points(key):
    assert draw_sobol_points(SPACE, 4, key) != GOLDEN


def test_a_grid_is_every_combination_the_last_dimension_fastest():
    space = {"a": Dimension(values=(1, 2)), "b": Dimension(values=("x", "y", "z"))}
    assert combine_choices(space) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 1, "b": "z"},
        {"a": 2, "b": "x"}, {"a": 2, "b": "y"}, {"a": 2, "b": "z"},
    ]  # fmt: skip
    assert combine_choices({}) == [{}]
