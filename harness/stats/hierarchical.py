"""Interval of a mean over patients, labelled subsets and seeds: a crossed, nested bootstrap-t.

The primary interval holds for the seeds and subsets that ran. This one treats them as drawn, too. Every patient is
tested by every unit, so patients are *crossed* with units and not nested in them; seeds are nested in subsets, since
seed 0 of two subsets shares neither labelled images nor batches. Each resample draws patients, and independently of
them subsets and then seeds within each drawn subset, all with replacement (Owen's pigeonhole bootstrap, 2007, for
the crossed part). No bootstrap is exact for crossed effects (McCullagh 2000), and two or three subsets hold little
information, so each resample is studentised by its own standard error from the two-way layout

    SE^2 = s_patients^2 / n + s_subsets^2 / a - s_interaction^2 / (n a)       (at least its first term)

with s^2 of patient means, of subset means and of what the two do not explain (that last one from the records, it is
small). The simulated coverage (`coverage`) says how far it can be trusted. With one subset, which then is fixed, seeds
take the place of subsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats.bootstrap import CONFIDENCE, Floats, outer
from harness.stats.design import Design, Resamples, observed, resamples

RESAMPLES = 2_000
_NUMBERS_AT_ONCE = 2**18
"""So few that they stay in the processor's cache."""

_ZERO = 1e-12


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of k means, each [k]; NaN where undefined."""

    low: Floats
    high: Floats


def hierarchical_intervals(values: Floats, design: Design, count: int = RESAMPLES) -> Bounds:
    """Bounds of the mean of each of `values` [k, patients, units], all tested in the same design, free of NaN.

    Undefined, NaN, with fewer than three patients or a single unit; without any spread the point.
    """
    k = len(values)
    low, high = np.full(k, np.nan), np.full(k, np.nan)
    if design.defined:
        at_once = max(1, _NUMBERS_AT_ONCE // (count * max(design.patients, design.units)))
        for start in range(0, k, at_once):
            chunk = slice(start, start + at_once)
            low[chunk], high[chunk] = _bounds(values[chunk], design, count)
    return Bounds(low, high)


def _bounds(values: Floats, design: Design, count: int) -> tuple[Floats, Floats]:
    as_is = observed(design)
    interaction = _interaction(values, as_is)
    mean, error = _mean_and_error(values, as_is, interaction)
    drawn, drawn_error = _mean_and_error(values, resamples(design, count), interaction)
    shift = drawn - mean
    flat = drawn_error < _ZERO
    t = shift / np.where(flat, 1.0, drawn_error)
    t = np.where(flat, np.where(np.abs(shift) < _ZERO, 0.0, np.copysign(np.inf, shift)), t)
    rank = int((count + 1) * (1.0 - CONFIDENCE) / 2.0)
    point = error[:, 0] < _ZERO
    scale = np.where(point, 1.0, error[:, 0])
    t_low, t_high = (np.where(point, 0.0, end) for end in outer(t, rank))
    bounds = mean[:, 0] - t_high * scale, mean[:, 0] - t_low * scale
    low, high = (np.where(np.isfinite(bound), bound, np.nan) for bound in bounds)
    return low, high


def _mean_and_error(values: Floats, drawn: Resamples, interaction: Floats) -> tuple[Floats, Floats]:
    """Mean and its standard error in each resample, both [k, B]; interaction: its share of the variance, [k]."""
    n, groups = len(drawn.patients), len(drawn.outer)
    by_patient = values @ drawn.units
    mean = np.einsum("kpb,pb->kb", by_patient, drawn.patients)
    patients = np.einsum("kpb,pb->kb", np.square(by_patient), drawn.patients) - np.square(mean)
    by_group = _group_means(values, drawn)
    subsets = np.einsum("kgb,gb->kb", np.square(by_group - mean[:, None, :]), np.square(drawn.outer))
    patients /= n - 1
    subsets *= groups / (groups - 1)
    return mean, np.sqrt(np.maximum(patients + subsets - interaction[:, None], np.maximum(patients, 0.0)))


def _group_means(values: Floats, drawn: Resamples) -> Floats:
    """Mean of each drawn group over the drawn patients, [k, groups, B]."""
    by_unit = np.matmul(values.transpose(0, 2, 1), drawn.patients)
    columns = np.arange(drawn.drawn.shape[2])
    return np.asarray((by_unit[:, drawn.drawn, columns] * drawn.inner).sum(axis=2))


def _interaction(values: Floats, as_is: Resamples) -> Floats:
    """Variance of the mean that patients and groups leave unexplained, s^2 / (n a), [k]."""
    cells = group_cells(values, as_is)
    k, n, groups = cells.shape
    rest = cells - cells.mean(axis=2, keepdims=True) - cells.mean(axis=1, keepdims=True)
    rest += cells.mean(axis=(1, 2), keepdims=True)
    return np.asarray(np.square(rest).sum(axis=(1, 2)) / ((n - 1) * (groups - 1)) / (n * groups)).reshape(k)


def group_cells(values: Floats, as_is: Resamples) -> Floats:
    """Mean of each patient over the units of each group, [k, patients, groups]."""
    return np.asarray((values[:, :, as_is.drawn[:, :, 0]] * as_is.inner[:, :, 0]).sum(axis=3))
