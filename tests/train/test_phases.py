from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.train.clock import Phases


class FakeTime:
    """A clock that the test moves. Eighths of a second are exact in binary."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# a tree of blocks: (phase or None for nobody's time, seconds before, blocks inside, seconds after)
eighths = st.integers(0, 80).map(lambda count: count / 8)
names = st.sampled_from(["train", "eval", "checkpoint", "data"])
Block = tuple[str, float, list[Any], float]
blocks: st.SearchStrategy[Block] = st.recursive(
    st.tuples(names, eighths, st.just([]), eighths),
    lambda inner: st.tuples(names, eighths, st.lists(inner, max_size=4), eighths),
    max_leaves=15,
)


@given(outside=st.lists(st.tuples(eighths, blocks), max_size=6), end=eighths)
def test_phases_and_the_remainder_are_the_wall_time(outside, end):
    clock = FakeTime()
    phases = Phases(clock)
    expected: dict[str, float] = {}

    def spend(name: str, seconds: float) -> None:
        clock.now += seconds
        expected[name] = expected.get(name, 0.0) + seconds

    def enter(block: Block) -> None:
        name, before, inner, after = block
        with phases(name):
            spend(name, before)
            assert {k: v for k, v in phases.seconds().items() if v} == {k: v for k, v in expected.items() if v}
            for part in inner:
                enter(part)
            spend(name, after)

    for idle, block in outside:
        spend("unaccounted", idle)
        enter(block)
    spend("unaccounted", end)
    seconds = phases.seconds()
    assert {name: value for name, value in seconds.items() if value} == {k: v for k, v in expected.items() if v}
    assert sum(seconds.values()) == clock.now - 1000.0
