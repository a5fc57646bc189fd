"""How often the intervals of a table hold the truth, with its test patients as the population.

Patients are drawn with replacement, as many as there are, again and again. The truth is the mean over all of them.
False verdicts are counted where all methods are moved to one mean.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np

from harness.stats.bootstrap import SEED, Floats, intervals, simultaneous_intervals
from harness.stats.families import read_family


class Coverage(NamedTuple):
    """Shares of the drawn tables, each in [0, 1].

    means:         of all intervals of a method's mean, those that hold it.
    differences:   tables of which every simultaneous interval holds the difference of its pair.
    false_verdict: of tables of equal means, those that call any pair significant.
    """

    means: float
    differences: float
    false_verdict: float
    draws: int


def coverage_of(scores: Floats, draws: int) -> Coverage:
    """Count over many draws of the patients; a bound that a draw does not determine holds nothing.

    scores: of each patient under each method, [patients, methods], without NaN; two methods at least.
    """
    generator = np.random.default_rng(SEED)
    truth, pairs = scores.mean(axis=0), np.array(list(combinations(range(scores.shape[1]), 2))).T
    centred = scores - truth
    means, differences, verdicts = [], [], []
    for _ in range(draws):
        drawn = generator.integers(0, len(scores), len(scores))
        own = intervals(scores[drawn])
        means.append(((own.low <= truth) & (truth <= own.high)).mean())
        off = centred[drawn][:, pairs[0]] - centred[drawn][:, pairs[1]]  # from their truth, which is 0
        bounds = simultaneous_intervals(off)
        differences.append(((bounds.low <= 0) & (bounds.high >= 0)).all())
        verdicts.append(any(reading.significant for reading in read_family(off, np.full(off.shape, 0.5))))
    return Coverage(float(np.mean(means)), float(np.mean(differences)), float(np.mean(verdicts)), draws)
