import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.api.params import Dimension, MethodParams, hyper
from harness.suite.registry import load_method

SHARES = st.floats(0.0, 1.0, exclude_max=True)
NUMBERS = st.floats(1e-6, 1e6)


def ranges(scale):
    pairs = st.tuples(NUMBERS, NUMBERS).filter(lambda pair: pair[0] < pair[1])
    return pairs.map(lambda pair: Dimension.model_validate({"scale": scale, "values": pair}))


class Params(MethodParams):
    rate: float = hyper(0.5, "a range", gt=0, search=(0.1, 0.9))
    fixed: int = hyper(3, "not searched")
    kind: str = hyper("b", "a choice", search=("a", "b", "c"), scale="choice")


@pytest.mark.parametrize(
    ("scale", "values", "share", "value"),
    [
        ("linear", (2, 6), 0.25, 3.0),
        ("log", (1, 1000), 2 / 3, 100.0),
        ("log", (0.05, 1), 0.1, 0.0674641),  # 0.05 exp(0.1 ln 20) = 0.05 exp(0.2995732) = 0.05 x 1.3492828
        ("choice", ("a", "b", "c"), 0.334, "b"),
        ("choice", ("a", "b", "c"), 0.999999, "c"),
    ],
)
def test_values_by_hand(scale, values, share, value):
    assert Dimension.model_validate({"scale": scale, "values": values}).at(share) == value


@given(dimension=ranges("linear") | ranges("log"), share=SHARES)
def test_a_value_is_within_the_range_and_short(dimension, share):
    value, (low, high) = dimension.at(share), dimension.values
    assert low <= value <= high
    assert dimension.holds(value)
    assert value in (low, high) or value == float(f"{value:.5e}")
    exact = low + share * (high - low) if dimension.scale == "linear" else low * (high / low) ** share
    assert value == pytest.approx(exact, rel=6e-6)


@pytest.mark.parametrize(
    ("scale", "values", "words"),
    [
        ("choice", (), "at least one value"),
        ("linear", ("1e-3", 1), r"two numbers, low and high, not \['1e-3', 1\]"),
        ("log", (0, 1), "to a greater high"),
    ],
)
def test_impossible_dimensions_are_refused(scale, values, words):
    with pytest.raises(ValidationError, match=words):
        Dimension.model_validate({"scale": scale, "values": values})


@pytest.mark.parametrize("method", ["supervised", "ua_mt", "mc_net", "bcp", "action", "action_pp"])
@given(data=st.data())
def test_parameters_placed_at_a_point_stand_there(method, data):
    params = load_method(method).Params()
    point = {name: dimension.at(data.draw(SHARES, name)) for name, dimension in params.space().items()}
    placed = type(params).model_validate(params.with_values(point))
    for name, value in point.items():
        assert placed.current_value(name) in (value, None), name
    if point.get("tau_family", "cosine") == "cosine":
        assert {name: placed.current_value(name) for name in point} == point
    untouched = params.model_fields_set | set(type(params).model_fields) - set(point)
    same = {name for name in untouched if not (name.endswith("_temperature") or name.startswith("share_"))}
    assert placed.model_dump(include=same) == params.model_dump(include=same)
    assert type(params).model_validate(params.with_values({})) == params
