"""All tables of one suite, computed once and rendered many times."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.leaderboard.curves import curves
from harness.leaderboard.frame import Records, load
from harness.leaderboard.leaderboard import leaderboard
from harness.leaderboard.paired import paired, paired_per_class
from harness.leaderboard.per_class import per_class
from harness.leaderboard.profiles import profiles
from harness.leaderboard.ranks import with_class_ranks, with_ranks
from harness.records.suite_folder import RunStore


@dataclass(frozen=True)
class Board:
    """The records and what was computed from them; each frame is one csv.

    rows:        `leaderboard.leaderboard`, one row per comparison, labelled count, selection and method.
    classes:     `per_class.per_class`.
    pairs:       `paired.paired`, mean over classes, every metric.
    curves:      `curves.curves`.
    class_pairs: `paired.paired_per_class`, the columns of `pairs` class by class, Dice alone.
    profiles:    `profiles.profiles`.
    """

    records: Records
    rows: pd.DataFrame
    classes: pd.DataFrame
    pairs: pd.DataFrame
    curves: pd.DataFrame
    class_pairs: pd.DataFrame
    profiles: pd.DataFrame

    @property
    def searched(self) -> pd.DataFrame | None:
        """The trials of the suite's search, columns as in `searches.searches`; None where nothing was searched."""
        return None if self.records.search.empty else self.records.search


def build(records: Records) -> Board:
    """Compute every table from the records alone."""
    rows = leaderboard(records)
    pairs, class_pairs = paired(records, rows), paired_per_class(records, rows)
    return Board(
        records=records,
        rows=with_ranks(rows, pairs),
        classes=with_class_ranks(per_class(records), rows, class_pairs),
        pairs=pairs,
        curves=curves(records),
        class_pairs=class_pairs,
        profiles=profiles(records),
    )


def read_board(store: RunStore) -> Board:
    """`build` of what lies in `store`; raises what `frame.load` raises."""
    return build(load(store))
