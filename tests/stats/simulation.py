"""Simulated experiments whose truth is known, for the statistics of a leaderboard."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np

from harness.stats.bootstrap import Floats, intervals, subset_interval
from harness.stats.families import read_family
from harness.stats.rliable import wins

PATIENTS = 20
PATIENT, SUBSET, SEED, REST = 0.13, 0.08, 0.03, 0.05
"""Standard deviations of the mean Dice as on ACDC at 96 x 96, with subsets that differ much."""

Draw = Callable[[np.random.Generator, int], Floats]


def error(share: float, simulations: int) -> float:
    return math.sqrt(share * (1.0 - share) / simulations)


def equal_normal(generator: np.random.Generator, methods: int) -> Floats:
    """Scores of methods of equal mean, [patients, methods]."""
    return 0.8 + generator.normal(0.0, 0.1, (PATIENTS, 1)) + generator.normal(0.0, 0.04, (PATIENTS, methods))


def equal_dice_like(generator: np.random.Generator, methods: int) -> Floats:
    """The same on the scale of logit(Dice), with a structure missed now and then."""
    logit = 1.4 + generator.normal(0.0, 0.6, (PATIENTS, 1)) + generator.normal(0.0, 0.3, (PATIENTS, methods))
    missed = generator.random((PATIENTS, methods)) < 0.03
    return np.asarray(np.where(missed, 2.0 / 3.0, 1.0) / (1.0 + np.exp(-logit)))


def equal_uneven(generator: np.random.Generator, methods: int) -> Floats:
    """Equal means, but every second method fails rarely and badly: the differences are skewed."""
    losses = generator.gamma(1.5, 1.0, (PATIENTS, methods)) - 1.5
    return 0.8 + generator.normal(0.0, 0.1, (PATIENTS, 1)) - np.where(np.arange(methods) % 2, 0.04, 0.015) * losses


def told_apart(draw: Draw, methods: int, simulations: int) -> float:
    generator = np.random.default_rng(2)
    return sum(_any_apart(draw(generator, methods)) for _ in range(simulations)) / simulations


def _any_apart(scores: Floats) -> bool:
    pairs = list(combinations(range(scores.shape[1]), 2))
    found = wins([column[:, None] for column in scores.T])
    better = np.stack([found[a, b] for a, b in pairs], axis=1)
    differences = np.stack([scores[:, a] - scores[:, b] for a, b in pairs], axis=1)
    return any(reading.significant for reading in read_family(differences, better))


def subset_coverage(subsets: int, seeds: int, simulations: int) -> tuple[float, float]:
    """Share of intervals over subsets, and of primary intervals, that hold the mean over subsets, here 0."""
    generator = np.random.default_rng(3)
    runs = subsets * seeds
    held = np.zeros(2)
    for _ in range(simulations):
        by_subset = np.repeat(generator.normal(0.0, SUBSET, subsets), seeds) + generator.normal(0.0, SEED, runs)
        patients = generator.normal(0.0, PATIENT, (PATIENTS, 1))
        values = by_subset + patients - patients.mean() + generator.normal(0.0, REST, (PATIENTS, runs))
        primary = intervals(values.mean(axis=1, keepdims=True))
        over_subsets = subset_interval(values.mean(axis=0).reshape(subsets, seeds).mean(axis=1))
        held += [low <= 0.0 <= high for low, high in (over_subsets, (primary.low[0], primary.high[0]))]
    return float(held[0] / simulations), float(held[1] / simulations)
