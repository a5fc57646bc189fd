"""Scores by patient and run, and their summary: mean, interval over patients, spread between runs."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.records.cases import FRACTIONS, MARKS, METRICS, Block
from harness.stats.bootstrap import Floats, intervals, standard_deviation, subset_interval

CHECKPOINTS = ("last", "best_val")
"""Checkpoint rules: the primary column first."""

MEAN_CLASS = "mean"

Places = NDArray[np.integer[Any]]
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
        """The patients that every run was tested on."""
        known = ~np.isnan(self.values).any(axis=1)
        return self.values if known.all() else np.asarray(self.values[known])  # mostly no copy

    @cached_property
    def run_means(self) -> Floats:
        """Mean of each run over the complete patients, [runs]; empty without any."""
        return np.asarray(self.complete.mean(axis=0)) if len(self.complete) else np.empty(0)

    @property
    def subset_means(self) -> Floats:
        """Mean of each labelled subset over its seeds and the complete patients, [subsets]."""
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


def read_scores(block: Block, planned: pd.DataFrame) -> dict[Key, Scores]:
    """(metric, checkpoint, cell, class_name) -> scores, for MEAN_CLASS and for each class.

    block: runs that were tested on the same. planned: cell, subset, seed and, as `place`, the run's in the block.
    """
    planned = planned.sort_values(["cell", "subset", "seed"])
    cells = {cell: (own["place"].to_numpy(), own["subset"].to_numpy()) for cell, own in planned.groupby("cell")}
    tested = block.tested.to_pandas()
    patients, names = pd.factorize(tested["patient"])
    count = len(names)
    groups = [*_groups(tested.assign(class_name=MEAN_CLASS)), *_groups(tested)]
    scores: dict[Key, Scores] = {}
    for metric, (checkpoint, class_name, rows) in product(METRICS, groups):
        means = _patient_means(block.values[metric], rows, patients)
        for cell, (places, subsets) in cells.items():
            own = np.broadcast_to(np.nan, (len(places), count)) if means is None else means[places]
            scores[metric, checkpoint, cell, class_name] = Scores(own.T, subsets)
    return scores


def _groups(tested: pd.DataFrame) -> Iterator[tuple[str, str, Places]]:
    rows = tested.groupby(["checkpoint", "class_name"]).indices
    for key in product(tested["checkpoint"].unique(), tested["class_name"].unique()):
        if key in rows:
            yield (*key, np.asarray(rows[key]))


def _patient_means(values: Floats, rows: Places, patients: Places) -> Floats | None:
    """[runs, patients] of `values` [runs, all rows], of which each patient has some among `rows`, or NaN without any.

    None if some value is unknown: a mean over the volumes of known voxel size would be one of other patients.
    """
    if np.isnan(values).any():
        return None
    ordered = rows[np.argsort(patients[rows], kind="stable")]
    present, starts, sizes = np.unique(patients[ordered], return_index=True, return_counts=True)
    means = np.full((len(values), patients.max(initial=-1) + 1), np.nan)
    means[:, present] = np.add.reduceat(values[:, ordered], starts, axis=1) / sizes
    return means


def summarise(scores: Mapping[Key, Scores]) -> dict[Key, Summary]:
    """Summary of each of `scores`, whose keys begin with the metric."""
    if not scores:
        return {}
    over_patients = intervals(np.stack([cell.by_patient for cell in scores.values()], axis=1))
    summaries: dict[Key, Summary] = {}
    for i, (key, cell) in enumerate(scores.items()):
        mean, low, high = (float(ends[i]) for ends in over_patients[:3])
        over_subsets = subset_interval(cell.subset_means, 0.0, 1.0 if key[0] in FRACTIONS else math.inf)
        spread = standard_deviation(cell.run_means)
        summaries[key] = Summary(mean, low, high, spread, *over_subsets, int(over_patients.n[i]))
    return summaries


def count_structures(block: Block, planned: pd.DataFrame) -> pd.DataFrame:
    """Structures (one a case and run) tested, missed, or predicted where none are, by checkpoint, cell, class_name.

    planned: cell and, as `place`, the run's in the block.
    """
    parts = [pd.DataFrame(columns=["checkpoint", "cell", "class_name", "n_structures", "n_missed", "n_spurious"])]
    for checkpoint, class_name, rows in _groups(block.tested.to_pandas()):
        counts = {f"n_{mark}": block.values[mark][:, rows].sum(axis=1)[planned["place"]] for mark in MARKS}
        by_cell = pd.DataFrame({"cell": planned["cell"].array, "n_structures": len(rows), **counts})
        parts.append(by_cell.assign(checkpoint=checkpoint, class_name=class_name))
    counted = pd.concat(parts[1:] or parts).groupby(["cell", "checkpoint", "class_name"], sort=False).sum()
    return counted.reset_index()[list(parts[0].columns)]
