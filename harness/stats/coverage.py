"""How often the hierarchical interval holds the truth, simulated for the suite's own design and variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness.stats.bootstrap import SEED, Floats
from harness.stats.design import Design, observed
from harness.stats.hierarchical import group_cells, hierarchical_intervals

SIMULATIONS = 500
_MANY_UNITS, _FEWER = 20, 200
"""Designs of more units are simulated less often: each costs more, and covers so nearly 95 % that 200 show it."""

_RESAMPLES = 199
"""Few are enough: the 5th of 199 is as likely as the 50th of 1,999 to lie beyond the truth, it only varies more."""

_AT_ONCE = 50


@dataclass(frozen=True)
class Components:
    """Variances of one score y = mean + patient + subset + seed(subset) + patient x subset + rest.

    With one subset, or one seed each, subset and patient_subset hold what cannot be told from seed and rest.
    """

    patient: float
    subset: float
    seed: float
    patient_subset: float
    rest: float

    def rounded(self) -> Components:
        """As multiples of the patients' variance, to two digits: only ratios matter, and alike suites share one run."""
        scale = self.patient or 1.0
        return Components(*(float(f"{max(0.0, one) / scale:.2g}") for one in self._all()))

    def _all(self) -> tuple[float, ...]:
        return self.patient, self.subset, self.seed, self.patient_subset, self.rest


def components(values: Floats, design: Design) -> Components:
    """Method-of-moments (analysis of variance) estimates of `values` [patients, units]; may be negative."""
    sizes = np.array(design.groups)
    n, groups, inner = design.patients, len(sizes), float(len(sizes) / np.sum(1.0 / sizes))
    cells = group_cells(values[None], observed(design))[0]
    patients, subsets = cells.mean(axis=1), cells.mean(axis=0)
    crossed = np.square(cells - patients[:, None] - subsets + cells.mean()).sum() / ((n - 1) * (groups - 1))
    rest = seeds = 0.0
    if (sizes > 1).any():
        within = values - np.repeat(cells, sizes, axis=1)
        seed_means = within.mean(axis=0)
        freedom = int((sizes - 1).sum())
        rest = np.square(within - seed_means).sum() / ((n - 1) * freedom)
        seeds = np.square(seed_means).sum() / freedom - rest / n
    return Components(
        patient=float(patients.var(ddof=1) - crossed / groups),
        subset=float(subsets.var(ddof=1) - seeds / inner - crossed / n),
        seed=float(seeds),
        patient_subset=float(crossed - rest / inner),
        rest=float(rest),
    )


def pooled(found: Sequence[Components]) -> Components:
    """Mean over the methods of a table: one method's two or three seeds say little about their variance."""
    means = np.mean([one._all() for one in found], axis=0)
    return Components(*(max(0.0, float(mean)) for mean in means))


@lru_cache(maxsize=128)
def simulated_coverage(design: Design, variances: Components) -> float:
    """Share of simulated experiments whose interval holds the true mean, with normal effects of these variances."""
    simulations = SIMULATIONS if design.units <= _MANY_UNITS else _FEWER
    generator = np.random.default_rng(SEED)
    held = 0
    for start in range(0, simulations, _AT_ONCE):
        values = simulate(generator, design, variances, min(_AT_ONCE, simulations - start))
        found = hierarchical_intervals(values, design, _RESAMPLES)
        held += int(np.count_nonzero((found.low <= 0.0) & (found.high >= 0.0)))
    return held / simulations


def simulate(generator: np.random.Generator, design: Design, variances: Components, count: int) -> Floats:
    """`count` experiments of true mean 0, [count, patients, units]."""
    sizes = np.array(design.groups)

    def effect(variance: float, *shape: int) -> Floats:
        return np.asarray(np.sqrt(variance) * generator.standard_normal((count, *shape)))

    by_group = effect(variances.subset, 1, len(sizes)) + effect(variances.patient_subset, design.patients, len(sizes))
    by_unit = effect(variances.seed, 1, design.units) + effect(variances.rest, design.patients, design.units)
    return np.asarray(effect(variances.patient, design.patients, 1) + np.repeat(by_group, sizes, axis=2) + by_unit)
