"""Scores by patient and run, and their summary: mean, interval over patients, spread between runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.stats.bootstrap import Floats, intervals, standard_deviation, subset_interval

METRICS = ("dice", "jaccard", "hd95_voxel", "asd_voxel", "assd_voxel", "hd95_mm", "asd_mm", "assd_mm")
"""Dice and Jaccard as fractions; distances in voxels or millimetres (NaN where the spacing is unknown)."""

LARGER_IS_BETTER = ("dice", "jaccard")

CHECKPOINTS = ("last", "best_val")
"""Checkpoint rules: the primary column first."""

MEAN_CLASS = "mean"
"""The class_name of a mean over the classes."""

Key = tuple[Any, ...]
"""Mostly (metric, checkpoint, cell, class_name)."""


@dataclass(frozen=True)
class Scores:
    """Scores of one cell, each the mean over the classes and phases of a patient under one run.

    values:  [patients, runs], patients in the same order for all cells; NaN where a run was not tested on a patient.
    subsets: labelled subset of each run, [runs].
    """

    values: Floats
    subsets: NDArray[np.int64]

    @cached_property
    def by_patient(self) -> Floats:
        """Mean of each patient over the runs that were tested on it, [patients]; NaN where none was."""
        known = np.count_nonzero(~np.isnan(self.values), axis=1)
        sums = np.nansum(self.values, axis=1)
        return np.asarray(np.divide(sums, known, out=np.full(len(sums), np.nan), where=known > 0))

    @cached_property
    def complete(self) -> Floats:
        """The patients that every run was tested on: all, unless a case list was changed."""
        return np.asarray(self.values[~np.isnan(self.values).any(axis=1)])

    @cached_property
    def run_means(self) -> Floats:
        """Mean of each run over the complete patients, [runs]; empty without any."""
        return np.asarray(self.complete.mean(axis=0)) if len(self.complete) else np.empty(0)

    @property
    def subset_means(self) -> Floats:
        """Mean of each labelled subset over its seeds and the complete patients, [subsets]; empty without any."""
        if not len(self.run_means):
            return np.empty(0)
        return np.array([self.run_means[self.subsets == subset].mean() for subset in np.unique(self.subsets)])


class Summary(NamedTuple):
    """One metric of one cell, NaN where undefined.

    low, high:                 95 % bootstrap-t interval over patients, given the seeds and subsets that ran.
    std:                       standard deviation over runs, from two runs on.
    subsets_low, subsets_high: 95 % t-interval of the mean over labelled subsets, from three subsets on.
    """

    mean: float
    low: float
    high: float
    std: float
    subsets_low: float
    subsets_high: float
    n_patients: int


UNKNOWN = Summary(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0)


def read_scores(cases: pd.DataFrame) -> dict[Key, Scores]:
    """(metric, checkpoint, cell, class_name) -> scores, for each class and for MEAN_CLASS, of the runs that are ok."""
    if cases.empty:
        return {}
    overall = {(*key, MEAN_CLASS): scores for key, scores in _scores(cases, ["checkpoint", "cell"])}
    return {**overall, **dict(_scores(cases, ["checkpoint", "cell", "class_name"]))}


def _scores(cases: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[Key, Scores]]:
    means = cases.groupby([*keys, "subset", "seed", "patient"], observed=True)[list(METRICS)].mean()
    wide = pd.DataFrame(means.unstack("patient")).sort_index()
    subsets = wide.index.get_level_values("subset").to_numpy()
    cells: dict[Any, Any] = wide.groupby(list(keys), sort=False, observed=True).indices
    for metric in METRICS:
        values = wide[metric].to_numpy(dtype="float64")
        for key, runs in cells.items():
            yield (metric, *key), Scores(values[runs].T, subsets[runs])


def summarise(scores: Mapping[Key, Scores]) -> dict[Key, Summary]:
    """Summary of each of `scores`, whose keys begin with the metric."""
    if not scores:
        return {}
    over_patients = intervals(np.stack([cell.by_patient for cell in scores.values()], axis=1))
    summaries: dict[Key, Summary] = {}
    for i, (key, cell) in enumerate(scores.items()):
        mean, low, high = (float(ends[i]) for ends in over_patients[:3])
        over_subsets = subset_interval(cell.subset_means, 0.0, 1.0 if key[0] in LARGER_IS_BETTER else math.inf)
        spread = standard_deviation(cell.run_means)
        summaries[key] = Summary(mean, low, high, spread, *over_subsets, int(over_patients.n[i]))
    return summaries


def count_structures(cases: pd.DataFrame) -> pd.DataFrame:
    """Structures (one a case and run) tested, missed, or predicted where none are, by checkpoint, cell, class_name."""
    groups = cases.groupby(["checkpoint", "cell", "class_name"], sort=False, observed=True)
    counts = {"n_structures": ("missed", "size"), "n_missed": ("missed", "sum"), "n_spurious": ("spurious", "sum")}
    return groups.agg(**counts).astype("int64").reset_index()
