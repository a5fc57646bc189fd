import math
from itertools import combinations

import numpy as np
import pytest

from harness.stats.families import read_family
from harness.stats.power import patients_needed, smallest_difference, spread_of


@pytest.mark.parametrize(("methods", "z"), [(2, 1.960 + 0.842), (15, 3.494 + 0.842)])
def test_patients_needed_by_tables_of_the_normal_distribution(methods, z):
    assert patients_needed(1.0, 0.5, methods) == float(f"{4 * z**2:.2g}")
    assert smallest_difference(1.0, patients_needed(1.0, 0.4, methods), methods) == pytest.approx(0.4, rel=0.1)


def test_a_simulated_table_finds_the_smallest_difference_as_often_as_promised():
    patients, methods = 20, 3
    generator = np.random.default_rng(0)
    gain = smallest_difference(math.sqrt(2.0), patients, methods)
    pairs = list(combinations(range(methods), 2))
    hits = 0
    for _ in range(80):
        scores = generator.normal(size=(patients, methods))
        scores[:, 0] += gain
        differences = np.stack([scores[:, a] - scores[:, b] for a, b in pairs], axis=1)
        hits += read_family(differences, np.full(differences.shape, 0.5))[0].significant
    assert 52 <= hits <= 74, f"{hits} of 80 at a promised 80 %"


def test_no_difference_is_resolved_by_too_few_patients():
    assert smallest_difference(1.0, 8, 5) == math.inf, "ten pairs: 10 x 2 / 2^8 is above 5 %"
    assert smallest_difference(1.0, 3, 2) == math.inf
    assert smallest_difference(1.0, 20, 1) == math.inf, "nothing to compare"


@pytest.mark.parametrize("within", [0.0, 0.3])
def test_components_are_those_that_were_drawn(within):
    generator = np.random.default_rng(1)
    pairs = [
        generator.normal(0, 0.2, (400, 1)) + generator.normal(0, within, (400, 5)) + generator.normal(0, 1, 5)
        for _ in range(9)
    ]
    spread = spread_of(pairs)
    assert spread is not None
    assert spread.between == pytest.approx(0.2, rel=0.1)
    assert spread.within == pytest.approx(within, rel=0.1)
    assert spread.of_runs(4) == pytest.approx(math.hypot(0.2, within / 2), rel=0.1)
    assert (spread.runs, spread.pairs, spread.patients) == (5, 9, 400)


def test_a_spread_is_the_median_of_pairs_of_few_patients():
    """Of 0, 2; 2, 0; 4, 4 in two runs both variances are 2; of 0, 2 in one run it is 2 between patients alone."""
    three = np.array([[0.0, 2.0], [2.0, 0.0], [4.0, 4.0]])
    spread = spread_of([0.1 * three, np.array([[0.0], [2.0]]), 10.0 * three])
    assert spread is not None
    assert (spread.between, spread.within) == pytest.approx((math.sqrt(2.0), math.sqrt(0.02)))
    assert (spread.runs, spread.pairs, spread.patients) == (1, 3, 2)
