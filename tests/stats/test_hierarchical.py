"""The interval over patients, subsets and seeds: by hand, against explicit loops, and its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.bootstrap import intervals
from harness.stats.coverage import Components, components, pooled, simulate, simulated_coverage
from harness.stats.design import Design, observed, resamples
from harness.stats.hierarchical import hierarchical_intervals
from tests.bench.statistics_bench import HARSH, error, hierarchical_coverage

DESIGNS = [Design(4, (3,)), Design(5, (2, 2)), Design(4, (1, 3, 2)), Design(6, (1, 1))]


def drawn(design):
    """One experiment, [1, patients, units]."""
    return simulate(np.random.default_rng(7), design, Components(1.0, 0.5, 0.3, 0.1, 0.2), 1)


def by_loops(values, design, count):
    """The same interval with one resample at a time; `values` [patients, units]."""
    n, sizes = design.patients, design.groups
    first = [sum(sizes[:i]) for i in range(len(sizes))]
    cells = np.stack([values[:, f : f + s].mean(axis=1) for f, s in zip(first, sizes, strict=True)], axis=1)
    rest = cells - cells.mean(axis=1, keepdims=True) - cells.mean(axis=0) + cells.mean()
    interaction = (rest**2).sum() / ((n - 1) * (len(sizes) - 1)) / (n * len(sizes))

    def mean_and_error(rows, groups):
        """rows: the drawn patients; groups: the drawn units of each drawn group."""
        shares = np.array([len(group) for group in groups]) / sum(len(group) for group in groups)
        by_patient = np.mean([values[rows, unit] for group in groups for unit in group], axis=0)
        by_group = np.array([values[rows][:, group].mean() for group in groups])
        mean = by_patient.mean()
        subsets = ((by_group - mean) ** 2 * shares**2).sum() * len(groups) / (len(groups) - 1)
        patients = by_patient.var(ddof=1) / n
        return mean, np.sqrt(max(patients + subsets - interaction, patients))

    as_is = [list(range(start, start + size)) for start, size in zip(first, sizes, strict=True)]
    mean, standard_error = mean_and_error(np.arange(n), as_is)
    found = resamples(design, count)
    t = []
    for b in range(count):
        rows = np.repeat(np.arange(n), np.rint(found.patients[:, b] * n).astype(int))
        groups = [
            [int(unit) for unit, weight in zip(found.drawn[g, :, b], found.inner[g, :, b], strict=True) if weight > 0]
            for g in range(len(sizes))
        ]
        one, its_error = mean_and_error(rows, groups)
        with np.errstate(divide="ignore"):
            t.append((one - mean) / its_error)
    ordered = sorted(t)
    rank = int((count + 1) * 0.025)
    return mean - ordered[count - rank] * standard_error, mean - ordered[rank - 1] * standard_error


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_agrees_with_one_resample_at_a_time(design):
    values = drawn(design)
    found = hierarchical_intervals(values, design, 199)
    assert (found.low[0], found.high[0]) == pytest.approx(by_loops(values[0], design, 199))


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_draws_are_with_replacement_at_each_level_and_crossed(design):
    found = resamples(design, 500)
    assert found.patients.sum(axis=0) == pytest.approx(1.0)
    assert found.units.sum(axis=0) == pytest.approx(1.0)
    assert found.patients.mean(axis=1) == pytest.approx(1 / design.patients, rel=0.2)
    groups = np.repeat(np.arange(len(design.groups)), design.groups)
    of_drawn = np.where(found.inner > 0, groups[found.drawn], -1)
    assert all(
        len({one for one in of_drawn[g, :, b] if one >= 0}) == 1 for g in range(len(of_drawn)) for b in range(500)
    )
    distinct = np.count_nonzero(found.units, axis=0)
    assert {1, design.units} <= set(distinct) or design.units > 4
    assert abs(np.corrcoef(found.patients[0], found.units[0])[0, 1]) < 0.15
    assert observed(design).units[:, 0] == pytest.approx(np.full(design.units, 1 / design.units))


def test_without_any_difference_between_units_it_is_nearly_the_primary_interval():
    design = Design(20, (3, 3))
    values = np.repeat(np.random.default_rng(0).normal(0.8, 0.1, (1, 20, 1)), 6, axis=2)
    found, primary = hierarchical_intervals(values, design), intervals(values[0, :, :1])
    width = primary.high[0] - primary.low[0]
    assert (found.low[0], found.high[0]) == pytest.approx((primary.low[0], primary.high[0]), abs=0.05 * width)


def test_subsets_that_differ_widen_it():
    design = Design(20, (2, 2, 2))
    values = np.random.default_rng(0).normal(0.8, 0.05, (1, 20, 6))
    apart = values + np.array([-0.1, -0.1, 0.0, 0.0, 0.1, 0.1])
    narrow, wide = (hierarchical_intervals(one, design) for one in (values, apart))
    assert wide.high[0] - wide.low[0] > 3 * (narrow.high[0] - narrow.low[0])


@pytest.mark.parametrize("design", [Design(20, (1,)), Design(2, (3, 3))], ids=str)
def test_a_single_unit_or_two_patients_leave_it_undefined(design):
    found = hierarchical_intervals(np.zeros((2, design.patients, design.units)), design)
    assert np.isnan([found.low, found.high]).all()


def test_equal_scores_give_the_point():
    found = hierarchical_intervals(np.full((1, 20, 4), 0.5), Design(20, (2, 2)))
    assert (found.low[0], found.high[0]) == pytest.approx((0.5, 0.5), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(-10, 10), st.floats(0.01, 100), st.sampled_from(DESIGNS))
def test_shift_and_scale_carry_over(shift, scale, design):
    values = drawn(design)
    plain, moved = (
        hierarchical_intervals(values, design, 199),
        hierarchical_intervals(scale * values + shift, design, 199),
    )
    assert moved.low == pytest.approx(scale * plain.low + shift, rel=1e-6, abs=1e-6)
    assert moved.high == pytest.approx(scale * plain.high + shift, rel=1e-6, abs=1e-6)


def test_components_by_hand():
    """y = patient (0, 2) + subset (0, 4) + seed (-1, 1 in both): nothing is left for interaction and rest."""
    values = np.array([[-1.0, 1.0, 3.0, 5.0], [1.0, 3.0, 5.0, 7.0]])
    found = components(values, Design(2, (2, 2)))
    assert found == Components(patient=2.0, subset=8.0 - 2.0 / 2, seed=2.0, patient_subset=0.0, rest=0.0)


@pytest.mark.parametrize("subsets", [(3, 3, 3), (2, 4)])
def test_components_are_found_again(subsets):
    design, truth = Design(20, subsets), Components(1.0, 0.2, 0.1, 0.05, 0.15)
    experiments = simulate(np.random.default_rng(0), design, truth, 3000)
    found = pooled([components(values, design) for values in experiments])
    for name in ("patient", "subset", "seed", "patient_subset", "rest"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=0.1, abs=0.01), name


def test_rounded_components_are_ratios_and_never_negative():
    assert Components(0.04, 0.0101, -0.001, 0.0, 0.02).rounded() == Components(1.0, 0.25, 0.0, 0.0, 0.5)


def test_the_printed_coverage_is_what_a_simulation_finds():
    """The full size is in tests/bench/statistics_bench.py."""
    design, simulations = Design(20, (2, 2)), 300
    share, printed = hierarchical_coverage(design, HARSH, simulations), simulated_coverage(design, HARSH)
    assert abs(share - printed) <= 3 * np.hypot(error(share, simulations), error(printed, 500))
    assert printed < 0.93, "two subsets that differ much cannot be covered as promised, and that is said"


def test_it_covers_the_mean_over_subsets_where_the_primary_interval_does_not():
    design, simulations = Design(20, (3, 3, 3)), 200
    values = simulate(np.random.default_rng(3), design, HARSH, simulations)
    primary = intervals(values.mean(axis=2).T)
    conditional = float(np.mean((primary.low <= 0) & (primary.high >= 0)))
    assert hierarchical_coverage(design, HARSH, simulations) > max(0.9, conditional + 0.1)
