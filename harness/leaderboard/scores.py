"""Scores per patient and unit: what the interquartile mean, profiles and hierarchical intervals are computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.leaderboard.patients import Key
from harness.stats.bootstrap import Floats


@dataclass(frozen=True)
class Scores:
    """Scores of one method, each the mean over the classes and phases of a patient under one unit.

    values:  [patients, units], units ordered by subset and seed; patients in the same order for all methods.
    subsets: how many units each labelled subset has, in that order.
    """

    values: Floats
    subsets: tuple[int, ...]

    @property
    def complete(self) -> Floats:
        """The patients that have a score under every unit, which is all of them unless a case list was changed."""
        return np.asarray(self.values[~np.isnan(self.values).any(axis=1)])


def scores(cases: pd.DataFrame, metrics: Sequence[str], by: Sequence[str] = ()) -> dict[Key, Scores]:
    """(metric, selection, arm, *by) -> scores of the units that are ok."""
    if cases.empty:
        return {}
    keys = ["selection", "arm", *by]
    grouped = cases.groupby([*keys, "subset", "seed", "patient"], observed=True)[list(metrics)].mean()
    wide = pd.DataFrame(grouped.unstack("patient")).sort_index()
    subsets = wide.index.get_level_values("subset")
    rows: dict[Any, Any] = wide.groupby(keys, sort=False, observed=True).indices
    found: dict[Key, Scores] = {}
    for metric in metrics:
        values = wide[metric].to_numpy(dtype="float64")
        for key, own in rows.items():
            found[metric, *key] = Scores(values[own].T, tuple(Counter(subsets[own]).values()))
    return found
