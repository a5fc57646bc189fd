"""What each of two crossed dimensions does, against hand-counted and enumerated permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.crossing import crossing, effects, permutation_p, write_search_picture
from harness.report.surface import surfaces
from tests.report.trials import CENTERS, row, searched, trials
from tests.synthetic import RunSpec, board_of, write_records


def enumerated_p(scores: np.ndarray) -> float:
    """Every order of every row, counted one by one."""
    observed = np.var(scores.mean(axis=0))
    rows = [list(itertools.permutations(one)) for one in scores]
    spreads = [np.var(np.mean(table, axis=0)) for table in itertools.product(*rows)]
    return float(np.mean([spread >= observed - 1e-12 for spread in spreads]))


def grid_of(method: str = "mc_net", frame: pd.DataFrame | None = None):
    return next(one for one in surfaces(trials() if frame is None else frame) if one["entry"] == method)


def test_two_levels_in_three_blocks_by_hand():
    """Of the 2^3 orders, two (all as seen, all turned round) spread the means as far: 1 in 4."""
    assert permutation_p(np.array([[0.1, 0.3], [0.5, 0.6], [0.2, 0.25]])) == pytest.approx(0.25, abs=0.01)


def test_p_is_that_of_all_orders():
    generator = np.random.default_rng(5)
    for effect in (0.0, 0.5, 2.0):
        scores = generator.normal(size=(3, 3)) + effect * np.arange(3.0)
        assert permutation_p(scores) == pytest.approx(enumerated_p(scores), abs=0.012)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), st.integers(0, 2**16))
def test_what_the_blocks_differ_by_does_not_count(shifts, seed):
    scores = np.random.default_rng(seed).normal(size=(4, 3))
    assert permutation_p(scores + np.array(shifts)[:, None], 400) == pytest.approx(permutation_p(scores, 400), abs=0.01)


def test_equal_levels_are_called_different_as_often_as_they_should():
    """2,000 tables of 4 blocks, 5 levels that differ by skewed noise alone: 5 % of them, within 3 standard errors."""
    generator = np.random.default_rng(11)
    tables = generator.exponential(size=(2000, 4, 5)) + 3.0 * generator.normal(size=(2000, 4, 1))
    rate = np.mean([permutation_p(table, 400) <= 0.05 for table in tables])
    assert rate == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / 2000) ** 0.5 + 0.005)


def test_equal_scores_are_no_evidence():
    assert permutation_p(np.full((3, 4), 0.5)) == 1.0


def test_levels_and_cells_of_a_grid():
    table = crossing(grid_of())
    assert table is not None
    assert (table.across, table.up) == ("centers per class", "temperature")
    assert list(table.across_levels) == list(CENTERS)
    assert table.up_levels == (
        "constant tau 0.1", "half cosine start 1 end 0.1", "cosine low 0.1 high 1 periods 1",
        "cosine low 0.1 high 1 periods 10",
    )  # fmt: skip
    expected = 0.5 + 0.01 * np.arange(20.0).reshape(4, 5)
    expected[2, 3] = np.nan
    np.testing.assert_allclose(table.scores, expected)


def test_blocks_with_a_failed_trial_are_left_out():
    centers, schedules = effects(grid_of())
    assert (centers["blocks"], schedules["blocks"]) == (3, 4)
    assert centers["means"] == pytest.approx([0.5 + 0.01 * (20 / 3 + i) for i in range(5)])
    assert schedules["means"] == pytest.approx([0.5 + 0.01 * (7 / 4 + 5 * i) for i in range(4)])
    assert max(centers["p"], schedules["p"]) < 0.001


def test_no_crossing_without_each_pair_once():
    frame = trials().query("entry == 'mc_net'")
    twice = pd.concat([frame, frame.iloc[:1]])
    for own in (frame.iloc[:-1], twice):
        assert crossing(grid_of(frame=own)) is None
        assert effects(grid_of(frame=own)) == []
    assert crossing(grid_of("ua_mt")) is None, "three points in a plane"
    assert crossing(grid_of("a", pd.DataFrame([row("a", i, {"x": i}, 0.5) for i in range(3)]))) is None


def test_the_picture_is_reproduced_and_goes_with_its_search(tmp_path):
    store = write_records(tmp_path / "suite", RunSpec(methods={"ua_mt": 0.1}, labelled=(3,), seeds=1, patients=2))
    board = board_of(store)
    path = write_search_picture(searched(board), tmp_path)
    assert path is not None
    assert path == tmp_path / "search.png"
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    write_search_picture(searched(board), tmp_path)
    assert path.read_bytes() == first
    assert write_search_picture(board, tmp_path) is None
    assert not path.exists()
