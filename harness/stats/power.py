"""What a test set can resolve: the smallest true difference that is probably found significant.

Equal methods are drawn, with normal differences of standard deviation 1, and every pair is shifted until the
leaderboard's own verdict (simultaneous bootstrap interval, and signed-rank test at Holm's first step) calls it
significant. The 80 % quantile of these shifts, times the standard deviation s of the differences, is the smallest
difference. Over several runs s^2 = between^2 + within^2 / runs (two-way analysis of variance, patients x runs).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from scipy import stats

from harness.stats.bootstrap import SEED, Floats, simultaneous_intervals
from harness.stats.families import LEVEL, decidable

POWER = 0.8

LEAST_DRAWS, PAIRS_DRAWN, MOST_PAIRS = 8, 300, 20
"""Simulated tables at least; pairs in all of them; and pairs that are looked at in each."""


@dataclass(frozen=True)
class Spread:
    """How far the difference of two methods spreads over patients, as fractions of Dice.

    between: standard deviation over patients of the difference, averaged over infinitely many runs.
    within:  standard deviation that a single run adds on each patient; 0 where it is not known apart, and counted as
             between patients, so that more runs seem to help less than they do.
    """

    between: float
    within: float
    runs: int
    pairs: int
    patients: int

    def of_runs(self, runs: int) -> float:
        """Standard deviation over patients of the difference, averaged over so many runs."""
        return math.sqrt(self.between**2 + self.within**2 / runs)


def spread_of(differences: list[Floats]) -> Spread | None:
    """The median spread of several pairs of methods; None where no pair has two patients.

    differences: a - b of each pair, [patients, runs]; patients and runs may differ between pairs.
    """
    parts = [_components(values) for values in differences if len(values) > 1 and values.shape[1]]
    if not parts:
        return None
    between, within = (float(np.median([part[i] for part in parts])) for i in (0, 1))
    shapes = [values.shape for values in differences]
    return Spread(between, within, min(shape[1] for shape in shapes), len(parts), min(shape[0] for shape in shapes))


def _components(values: Floats) -> tuple[float, float]:
    """Standard deviations between patients and within them, of differences [patients, runs]."""
    patients, runs = values.shape
    means = values.mean(axis=1)
    if runs == 1:
        return float(means.std(ddof=1)), 0.0
    rest = values - means[:, None] - values.mean(axis=0) + values.mean()
    within = float(np.square(rest).sum()) / ((patients - 1) * (runs - 1))
    return math.sqrt(max(0.0, float(means.var(ddof=1)) - within / runs)), math.sqrt(within)


def smallest_difference(spread: float, patients: int, methods: int) -> float:
    """The smallest true difference of two methods that is found significant with probability POWER.

    spread: standard deviation over patients of the difference, in whose unit the result is; infinite for too few
            patients.
    methods: ranked ones of the table, all pairs of which are compared.
    """
    if methods < 2 or patients < 4 or not decidable(patients, _pairs(methods)):
        return math.inf
    return spread * float(np.quantile(_needed(patients, methods), POWER))


def patients_needed(spread: float, wanted: float, methods: int) -> int:
    """About how many test patients a difference needs to be found significant with probability POWER, to two digits.

    n = ((z(1 - LEVEL / 2 / pairs) + z(POWER)) spread / wanted)^2, normal differences and Bonferroni's correction.
    """
    z = stats.norm.isf(LEVEL / 2.0 / _pairs(methods)) + stats.norm.ppf(POWER)
    return int(float(f"{(z * spread / wanted) ** 2:.2g}"))


def _pairs(methods: int) -> int:
    return methods * (methods - 1) // 2


@lru_cache(maxsize=8)
def _needed(patients: int, methods: int) -> Floats:
    """By how many standard deviations each pair of simulated equal methods must differ to become significant.

    A shift moves neither the width of an interval nor the order of differences: for the interval it is the half width
    less the mean, for the signed-rank test, which counts the positive means of two patients, one of these means (Walsh
    averages; Hodges and Lehmann 1963).
    """
    generator = np.random.default_rng(SEED)
    pairs, (first, second) = _pairs(methods), np.triu_indices(patients)
    columns = np.array(list(combinations(range(methods), 2))).T
    count = _critical_count(patients, LEVEL / pairs)
    needed = []
    for _ in range(LEAST_DRAWS + PAIRS_DRAWN // pairs):
        scores = generator.normal(scale=math.sqrt(0.5), size=(patients, methods))
        differences = scores[:, columns[0]] - scores[:, columns[1]]
        bounds = simultaneous_intervals(differences)
        own = differences[:, :MOST_PAIRS]
        walsh = np.sort((own[first] + own[second]) / 2.0, axis=0)
        half, mean = ((bounds.high - bounds.low) / 2.0)[:MOST_PAIRS], bounds.mean[:MOST_PAIRS]
        needed += [np.maximum(half - mean, -walsh[-count]), np.maximum(half + mean, walsh[count - 1])]
    return np.concatenate(needed)


def _critical_count(patients: int, level: float) -> int:
    """The smallest count of positive Walsh averages whose two-sided exact p is at most `level`."""
    chances = np.ones(1)
    for rank in range(1, patients + 1):  # of every sum of the ranks that have a positive sign
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2.0
    tails = np.cumsum(chances[::-1])[::-1]
    return int(np.flatnonzero(2.0 * tails <= level)[0])
