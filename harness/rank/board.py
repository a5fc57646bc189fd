"""All tables of one suite, computed once and rendered many times."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.rank.curves import curves
from harness.rank.frame import Records, load
from harness.rank.leaderboard import leaderboard
from harness.rank.paired import paired
from harness.rank.per_class import per_class
from harness.store import RunStore


@dataclass(frozen=True)
class Board:
    """The records and what was computed from them; each frame is one csv.

    rows:    `leaderboard.leaderboard`, one row per comparison, labelled count, selection and method.
    classes: `per_class.per_class`.
    pairs:   `paired.paired`.
    curves:  `curves.curves`.
    """

    records: Records
    rows: pd.DataFrame
    classes: pd.DataFrame
    pairs: pd.DataFrame
    curves: pd.DataFrame


def build(records: Records) -> Board:
    """Compute every table from the records alone."""
    rows = leaderboard(records)
    return Board(records, rows, per_class(records), paired(records, rows), curves(records))


def read_board(store: RunStore) -> Board:
    """`build` of what lies in `store`; raises what `frame.load` raises."""
    return build(load(store))
