"""Which units tested the patients, and how they are resampled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.stats.bootstrap import SEED, Floats


@dataclass(frozen=True)
class Design:
    """Every one of `patients` was tested by every unit; units are seeds within labelled subsets.

    subsets: number of units of each labelled subset, units ordered by subset: (3, 3) for two with three seeds each.
    """

    patients: int
    subsets: tuple[int, ...]

    @property
    def units(self) -> int:
        """Number of units."""
        return sum(self.subsets)

    @property
    def groups(self) -> tuple[int, ...]:
        """What is drawn first: the subsets; with a single one, which then stays fixed, its seeds."""
        return self.subsets if len(self.subsets) > 1 else (1,) * self.units

    @property
    def defined(self) -> bool:
        """Whether an interval over patients and units is defined at all."""
        return self.patients >= 3 and self.units >= 2

    def __str__(self) -> str:
        """As in "20 patients, 2 subsets x 3 seeds"."""
        few, many = min(self.subsets, default=0), max(self.subsets, default=0)
        seeds = str(few) if few == many else f"{few}-{many}"
        words = "subset" if len(self.subsets) == 1 else "subsets", "seed" if seeds == "1" else "seeds"
        return f"{self.patients} patients, {len(self.subsets)} {words[0]} x {seeds} {words[1]}"


@dataclass(frozen=True)
class Resamples:
    """B draws of patients, crossed with B draws of groups and of units within each drawn group.

    patients: share of each patient, [patients, B].
    units:    share of each unit, [units, B].
    drawn:    unit of each draw, [groups, most units of a group, B]; where a group has fewer, its weight is 0.
    inner:    weight of a draw within its group, the same shape; 1 in sum over a group.
    outer:    share of each drawn group, [groups, B]: proportional to its units, as in the mean over units.
    """

    patients: Floats
    units: Floats
    drawn: NDArray[np.intp]
    inner: Floats
    outer: Floats


def observed(design: Design) -> Resamples:
    """The records as they are, as the one "resample" in which each is drawn once."""
    groups = np.arange(len(design.groups))[:, None]
    slots = np.arange(max(design.groups))[None, :, None]
    own = np.broadcast_to(slots, (len(groups), slots.shape[1], 1))
    return _resamples(design, np.full((design.patients, 1), 1.0 / design.patients), groups, own)


@lru_cache(maxsize=16)
def resamples(design: Design, count: int) -> Resamples:
    """`count` draws, with replacement at each level; the same for the same design."""
    generator = np.random.default_rng(SEED)
    n, sizes = design.patients, np.array(design.groups)
    patients = generator.multinomial(n, np.full(n, 1.0 / n), size=count).T / n
    groups = generator.integers(len(sizes), size=(len(sizes), count))
    slots = generator.integers(sizes[groups][:, None, :], size=(len(sizes), sizes.max(), count))
    return _resamples(design, patients, groups, slots)


def _resamples(design: Design, patients: Floats, groups: NDArray[np.int64], slots: NDArray[np.int64]) -> Resamples:
    """From groups [groups, B] and places within the group [groups, most, B]."""
    sizes = np.array(design.groups)
    first = np.cumsum(sizes) - sizes
    drawn_sizes = sizes[groups][:, None, :]
    there = np.arange(sizes.max())[None, :, None] < drawn_sizes
    drawn = np.where(there, first[groups][:, None, :] + slots, 0)
    inner = np.where(there, 1.0 / drawn_sizes, 0.0)
    outer = sizes[groups] / sizes[groups].sum(axis=0)
    units = np.zeros((design.units, groups.shape[1]))
    np.add.at(units, (drawn, np.arange(groups.shape[1])), inner * outer[:, None, :])
    return Resamples(patients, units, drawn, inner, outer)
