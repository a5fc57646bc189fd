"""Ranks of the leaderboard's rows; shared where the differences are not significant.

A method with a failed run is worse than all without, one without any number last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.leaderboard.scores import MEAN_CLASS
from harness.stats.families import rank_bounds

_TABLE = ["table", "labelled", "checkpoint"]
_BOUNDS = ["rank", "rank_worst"]


def with_ranks(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard with `rank` and `rank_worst` of every method that has a place; pairs: `paired.build_paired`."""
    ranks = _bounds(rows, pairs, [MEAN_CLASS]).drop(columns="class_name")
    return _joined(rows, ranks.assign(block="ranked"))


def with_class_ranks(classes: pd.DataFrame, rows: pd.DataFrame, class_pairs: pd.DataFrame) -> pd.DataFrame:
    """`build_per_class` with the ranks by each class's Dice; class_pairs: `paired.build_paired_per_class`."""
    ranks = _bounds(rows, class_pairs, list(classes["class_name"].unique()))
    return _joined(classes, ranks.assign(block="ranked", metric="dice"))


def _joined(frame: pd.DataFrame, ranks: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in ranks.columns if name not in _BOUNDS]
    merged = frame.drop(columns=_BOUNDS).merge(ranks, how="left", on=keys)
    return merged[list(frame.columns)]


def _bounds(rows: pd.DataFrame, pairs: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """Best and worst rank by Dice of every placed method, for each of the classes."""
    placed = rows[rows["place"].notna()]
    significant = pairs[pairs["significant"] & (pairs["metric"] == "dice") & (pairs["family"] == "ranked")]
    by_table = dict(iter(significant.groupby([*_TABLE, "class_name"])))
    ranks: list[dict[str, Any]] = []
    for key, own in placed.groupby(_TABLE, sort=False):
        methods = own["entry"].tolist()
        for class_name in class_names:
            best, worst = rank_bounds(_better(own, _won(methods, by_table.get((*key, class_name)))))
            shared = {**dict(zip(_TABLE, key, strict=True)), "class_name": class_name}
            numbers = zip(methods, best.tolist(), worst.tolist(), strict=True)
            ranks.extend({**shared, "entry": entry, "rank": low, "rank_worst": high} for entry, low, high in numbers)
    frame = pd.DataFrame(ranks, columns=[*_TABLE, "class_name", "entry", *_BOUNDS])
    return frame.astype(dict.fromkeys(["labelled", *_BOUNDS], "Int64"))


def _better(own: pd.DataFrame, won: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Failures decide first (none, some, no number at all), significant differences among equals."""
    tier = (own["n_failed"] > 0).to_numpy(dtype=int) + (own["n_ok"] == 0).to_numpy(dtype=int)
    return np.asarray((tier[:, None] < tier) | (won & (tier[:, None] == tier)))


def _won(methods: Sequence[str], significant: pd.DataFrame | None) -> NDArray[np.bool_]:
    """won[i, j]: method i is significantly better than method j."""
    won = np.zeros((len(methods), len(methods)), dtype=bool)
    if significant is not None:
        places = {method: i for i, method in enumerate(methods)}
        for a, b, difference in significant[["entry_a", "entry_b", "difference"]].itertuples(index=False):
            winner, loser = (a, b) if difference > 0 else (b, a)
            won[places[winner], places[loser]] = True
    return won
