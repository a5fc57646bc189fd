import numpy as np

from harness.stats.coverage import coverage_of


def population():
    generator = np.random.default_rng(0)
    return generator.normal(0.6, 0.1, (20, 1)) + generator.normal(0.0, 0.05, (20, 4)) + np.arange(4) / 50


def test_the_intervals_hold_what_they_promise():
    """95 %, within the Monte Carlo error of 150 tables and what 20 patients allow; false verdicts in at most 5 %."""
    coverage = coverage_of(population(), 150)
    assert 0.90 <= coverage.means <= 0.99
    assert 0.90 <= coverage.differences <= 1.0
    assert coverage.false_verdict <= 0.08
    assert coverage.draws == 150


def test_what_a_draw_misses_counts_as_missed():
    """One patient of 20 alone differs, under the last method; it is not drawn at all in 36 % of the tables."""
    scores = np.zeros((20, 3))
    scores[0, 2] = 1.0
    coverage = coverage_of(scores, 40)
    assert 2 / 3 <= coverage.means < 0.7
    assert coverage.differences < 0.1
    assert 0.2 < coverage.false_verdict < 0.55
