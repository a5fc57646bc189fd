"""Interquartile mean, performance profiles and probability of improvement: by hand and against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.leaderboard.profiles import TAUS, profile
from harness.stats.bootstrap import resample_counts
from harness.stats.improvement import improvement, wins
from harness.stats.iqm import RESAMPLES, iqm, iqm_interval
from tests.synthetic import RunSpec, board_of, write_run

coarse = st.integers(0, 5).map(lambda i: i / 5)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1, 2, 3, 4, 5, 6, 7, 8], 4.5), ([0, 1, 2, 3, 100], 2.0), ([1, 2, 3], 2.0), ([], np.nan)],
)
def test_iqm_by_hand(scores, expected):
    assert iqm(np.array(scores, dtype=float)) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(3, 6), st.integers(1, 5)), elements=coarse))
def test_the_iqm_of_each_resample_is_that_of_its_repeated_rows(values):
    counts = resample_counts(len(values))[:, :RESAMPLES].astype(int)
    drawn = [iqm(np.repeat(values, counts[:, b], axis=0)) for b in range(RESAMPLES)]
    middle, low, high = iqm_interval(values)
    assert middle == pytest.approx(iqm(values))
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))


def test_one_spoilt_patient_does_not_move_the_iqm():
    values = np.random.default_rng(0).normal(0.8, 0.02, (20, 3))
    spoilt = values.copy()
    spoilt[np.argmin(values.mean(axis=1))] = 0.0
    assert iqm(spoilt) == pytest.approx(iqm(values), abs=0.005)
    assert spoilt.mean() < values.mean() - 0.03
    assert np.isnan(iqm_interval(values[:2])[1:]).all()


def test_profile_by_hand():
    found = profile(np.array([[0.5, 0.9], [0.5, 0.5], [1.0, 0.2]]))
    at = {round(float(tau), 2): float(share) for tau, share in zip(TAUS, found.share, strict=True)}
    assert (at[0.0], at[0.19], at[0.2], at[0.49], at[0.5], at[0.89], at[0.9], at[1.0]) == pytest.approx(
        (1, 1, 5 / 6, 5 / 6, 2 / 6, 2 / 6, 1 / 6, 0)
    )


@settings(max_examples=15, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(3, 8), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_a_profile_falls_and_lies_within_its_bands(values):
    found = profile(values)
    assert found.share == pytest.approx([(values > tau).mean() for tau in TAUS])
    assert (np.diff(found.share) <= 1e-12).all()
    for low, high in ((found.low, found.high), (found.simultaneous_low, found.simultaneous_high)):
        assert (low <= found.share + 1e-12).all()
        assert (found.share <= high + 1e-12).all()


def test_simultaneous_bands_hold_the_whole_curve_where_pointwise_bands_do_not():
    generator, simulations = np.random.default_rng(0), 200
    truth = np.clip(1.0 - (TAUS - 0.5) / 0.4, 0.0, 1.0)  # uniform between 0.5 and 0.9
    held = np.zeros(2)
    for _ in range(simulations):
        found = profile(generator.uniform(0.5, 0.9, (20, 1)))
        pairs = (found.low, found.high), (found.simultaneous_low, found.simultaneous_high)
        held += [((low <= truth) & (truth <= high)).all() for low, high in pairs]
    pointwise, simultaneous = held / simulations
    assert simultaneous > 0.88
    assert pointwise < 0.5


def test_wins_by_hand():
    found = wins(
        [np.array([[0.9, 0.7], [0.5, 0.5]]), np.array([[0.8], [0.5]]), np.array([[0.1, 0.8, 0.9], [0.4, 0.5, 0.6]])]
    )
    assert found[0, 1] == pytest.approx([1 / 2, 1 / 2])
    assert found[0, 2] == pytest.approx([(1 + 1 + 0.5 + 1) / 6, (1 + 0.5 + 0) / 3])
    assert found[0, 0] == pytest.approx([0.5, 0.5])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_wins_agree_with_all_pairs_of_units(data):
    patients = data.draw(st.integers(1, 4))
    scores = [
        data.draw(arrays(np.float64, (patients, data.draw(st.integers(1, 4))), elements=coarse))
        for _ in range(data.draw(st.integers(2, 4)))
    ]
    found = wins(scores)
    for i, x in enumerate(scores):
        for j, y in enumerate(scores):
            pairs = x[:, :, None] - y[:, None, :]
            assert found[i, j] == pytest.approx((pairs > 0).mean(axis=(1, 2)) + 0.5 * (pairs == 0).mean(axis=(1, 2)))
    assert found + found.transpose(1, 0, 2) == pytest.approx(np.ones_like(found))


def test_improvement_is_the_mean_over_patients_with_their_interval():
    found = improvement(np.array([[1.0, 0.5], [1.0, 0.0], [1.0, 1.0], [1.0, 0.5]]))
    assert found.probability.tolist() == [1.0, 0.5]
    assert (found.low[0], found.high[0]) == (1.0, 1.0)
    assert 0.0 <= found.low[1] < 0.5 < found.high[1] <= 1.0
    assert np.isnan(improvement(np.ones((2, 1))).low).all()


def test_the_interval_of_an_improvement_covers_its_truth():
    generator, simulations = np.random.default_rng(0), 400
    found = improvement(generator.beta(3.0, 2.0, (20, simulations)))
    coverage = np.mean((found.low <= 0.6) & (found.high >= 0.6))
    assert 0.89 <= coverage <= 0.97  # percentile intervals at n = 20 cover a little less than 95 %


def test_frames_hold_every_method_class_and_tau(tmp_path):
    board = board_of(write_run(tmp_path / "s", RunSpec(labelled=(3,), subsets=2, seeds=2)))
    curves = board.profiles
    assert len(curves) == 2 * 4 * 4 * len(TAUS)  # selections, methods, classes and their mean
    assert set(curves["class_name"]) == {"mean", "RV", "Myo", "LV"}
    assert curves.set_index("method")["n_units"].to_dict() == {
        "supervised": 4,
        "ua_mt": 4,
        "mc_net": 4,
        "supervised_full": 2,
    }
    rows = board.results.query("selection == 'last'").set_index("method")
    own = curves.query("selection == 'last' and class_name == 'mean' and method == 'ua_mt'")
    assert rows.loc["ua_mt", "dice"] == pytest.approx(own["share"].sum() / 100, abs=0.01)  # the area under a profile
    assert (rows["hierarchical_low"] < rows["dice"]).all()
    assert rows["hierarchical_coverage"].between(0.8, 1.0).all()
    assert (rows["iqm_low"] < rows["iqm"]).all()
