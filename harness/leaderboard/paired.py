"""Paired differences between all methods of a table, over the same patients."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.scores import MEAN_CLASS, Key, Scores
from harness.records.cases import FRACTIONS, METRICS
from harness.stats.bootstrap import Floats
from harness.stats.families import Reading, read_family
from harness.stats.rliable import wins

COLUMNS = (
    "suite", "table", "labelled", "checkpoint", "class_name", "metric", "family", "entry_a", "entry_b", "difference",
    "difference_low", "difference_high", "n_patients", "excludes_zero", "simultaneous_low", "simultaneous_high",
    "p_wilcoxon", "p_holm", "probability_of_improvement", "improvement_low", "improvement_high", "significant",
    "verdict",
)  # fmt: skip
"""
class_name:         MEAN_CLASS, the mean over classes, or one class (these rows for Dice alone).
family:             "ranked" for pairs of ranked methods, "reference" for pairs with a reference; corrected together.
difference:         mean over patients of a - b; `_low`, `_high` and excludes_zero hold for this pair alone.
simultaneous_low, _high: 95 % interval that holds for all pairs of the family at once (bootstrap max-t).
p_wilcoxon, p_holm: two-sided signed-rank p over patients, raw and after Holm within the family.
probability_of_improvement, improvement_low, _high: P(a better than b) on the same patient, ties count one half.
significant:        the simultaneous interval excludes 0 and Holm's test rejects, in the same direction.
verdict:            "significant", "not significant", or "undetermined" where n is too small for any difference to be.
"""


class Pair(NamedTuple):
    """Two cells in one table; pairs in which all but the cells is equal are corrected together."""

    labelled: int | None
    checkpoint: str
    class_name: str
    metric: str
    family: str
    first: str
    second: str


def build_paired(inputs: LeaderboardInput, results: pd.DataFrame, *, per_class: bool = False) -> pd.DataFrame:
    """Every pair of methods of a table, for every metric, checkpoint rule and labelled count; columns as in `COLUMNS`.

    References come first, then by place. Each patient's value is the mean over its classes, phases and the seeds and
    subsets that ran. A millimetre metric without spacing has no rows. per_class: the Dice of each class instead.
    """
    metrics = ("dice",) if per_class else METRICS
    rows = []
    for comparison in inputs.comparisons:
        names = dict.fromkeys(key[3] for key in comparison.scores)
        class_names = [name for name in names if (name != MEAN_CLASS) == per_class]
        differences = pair_differences(comparison, results[results["table"] == comparison.number], class_names, metrics)
        readings = _readings(differences, comparison.scores)
        rows += [{"suite": inputs.suite, "table": comparison.number, **_row(*item)} for item in readings.items()]
    types = {"labelled": "Int64", "excludes_zero": "bool", "significant": "bool"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)


def pair_differences(
    comparison: Comparison, results: pd.DataFrame, class_names: Sequence[str], metrics: Sequence[str]
) -> dict[Pair, Floats]:
    """Pair -> a - b of each patient, where there is any."""
    differences: dict[Pair, Floats] = {}
    for key, table in results.groupby(["labelled", "checkpoint"], sort=False, dropna=False):
        for (first, reference), (second, _) in combinations(_order(table), 2):
            family = "reference" if reference else "ranked"
            for class_name, metric in product(class_names, metrics):
                a, b = (comparison.scores.get((metric, key[-1], cell, class_name)) for cell in (first, second))
                if a is not None and b is not None and not np.isnan(a.by_patient - b.by_patient).all():
                    pair = Pair._make((*key, class_name, metric, family, first, second))
                    differences[pair] = a.by_patient - b.by_patient
    return differences


def _readings(differences: Mapping[Pair, Floats], scores: Mapping[Key, Scores]) -> dict[Pair, Reading]:
    families: dict[Key, list[Pair]] = {}
    for pair in differences:
        families.setdefault(pair[:5], []).append(pair)
    readings: dict[Pair, Reading] = {}
    for pairs in families.values():
        columns = np.stack([differences[pair] for pair in pairs], axis=1)
        readings.update(zip(pairs, read_family(columns, pair_wins(pairs, scores)), strict=True))
    return {pair: readings[pair] for pair in differences}


def pair_wins(pairs: Sequence[Pair], scores: Mapping[Key, Scores]) -> Floats:
    """P(a better than b) of each patient, [patients, pairs of one family]."""
    metric, checkpoint, class_name = pairs[0].metric, pairs[0].checkpoint, pairs[0].class_name
    sign = 1.0 if metric in FRACTIONS else -1.0
    places = {cell: i for i, cell in enumerate(dict.fromkeys(cell for pair in pairs for cell in pair[5:]))}
    shares = wins([sign * scores[metric, checkpoint, cell, class_name].values for cell in places])
    return np.stack([shares[places[pair.first], places[pair.second]] for pair in pairs], axis=1)


def _order(table: pd.DataFrame) -> list[tuple[str, bool]]:
    """Cells of a table that have numbers, and whether each is a reference; these first, then by place."""
    ok = table[table["n_ok"] > 0]
    ordered = ok.sort_values("block", key=lambda block: block == "ranked", kind="stable")
    columns = ordered["entry"], ordered["trained_on"], ordered["block"] == "reference"
    return [(f"{method}@{count}", bool(reference)) for method, count, reference in zip(*columns, strict=True)]


def _row(pair: Pair, reading: Reading) -> dict[str, Any]:
    """Where a bound is undefined, `excludes_zero` is False."""
    return {
        **pair._asdict(),
        "entry_a": pair.first.rpartition("@")[0],
        "entry_b": pair.second.rpartition("@")[0],
        **reading._asdict(),
        "excludes_zero": reading.difference_low > 0 or reading.difference_high < 0,
    }
