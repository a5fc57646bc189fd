"""Means per patient: the patient is what is resampled, so classes, phases, seeds and subsets are averaged within it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.stats.bootstrap import Floats, Intervals, intervals

METRICS = ("dice", "jaccard", "hd95_voxel", "asd_voxel", "assd_voxel", "hd95_mm", "asd_mm", "assd_mm")
"""Dice and Jaccard as fractions; distances in voxels or millimetres (NaN where the spacing is unknown)."""

LARGER_IS_BETTER = ("dice", "jaccard")

SELECTIONS = ("last", "best_val")
"""Checkpoint rules: the primary column first."""

MEAN_CLASS = "mean"
"""Stands as class_name where a score is the mean over the classes."""

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over n patients with its 95 % bootstrap-t bounds; NaN where undefined."""

    mean: float
    low: float
    high: float
    n: int


UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"), 0)


def patient_means(cases: pd.DataFrame, by: Sequence[str] = ()) -> dict[Key, Floats]:
    """Mean of each metric over a patient's rows: (metric, selection, arm, *by) -> [patients], in the same order.

    ED and ES of a patient fall together, and so do all seeds and subsets that ran. A patient without a row is NaN.
    """
    keys = ["selection", "arm", *by]
    grouped = cases.groupby([*keys, "patient"], observed=True)[list(METRICS)].mean()
    wide = pd.DataFrame(grouped.unstack(keys))
    columns = wide.to_numpy(dtype="float64")
    return {tuple(key): columns[:, i] for i, key in enumerate(wide.columns)}


def estimates(columns: Mapping[Key, Floats]) -> dict[Key, Estimate]:
    """Mean and interval of each column [patients]."""
    if not columns:
        return {}
    return named(columns, intervals(np.stack(list(columns.values()), axis=1)))


def named(keys: Iterable[Key], found: Intervals) -> dict[Key, Estimate]:
    """Intervals of columns by the columns' keys."""
    rows = zip(found.mean.tolist(), found.low.tolist(), found.high.tolist(), found.n.tolist(), strict=True)
    return {key: Estimate(*row) for key, row in zip(keys, rows, strict=True)}
