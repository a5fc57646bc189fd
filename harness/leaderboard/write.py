"""The leaderboard's files, each written atomically and rebuilt from the records at any time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness.leaderboard.board import Board, read_board
from harness.leaderboard.figure import draw_curves
from harness.leaderboard.notes import MINI
from harness.leaderboard.render import markdown
from harness.records.files import write_atomic, write_text
from harness.records.suite_folder import RunStore


def write_leaderboard(store: RunStore, board: Board | None = None) -> tuple[Path, ...]:
    """Write csv, markdown and picture into `store.leaderboard`; the same records give the same bytes.

    board: what `read_board(store)` gave, if it is at hand. Raises what `frame.load` raises, and `DiskError`.
    """
    board = read_board(store) if board is None else board
    folder = store.leaderboard
    frames = tables(board)
    for name, frame in frames.items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "leaderboard.md", markdown(board))
    write_atomic(folder / "curves.png", lambda path: draw_curves(board.curves, _title(board), path))
    return (*(folder / f"{name}.csv" for name in frames), folder / "leaderboard.md", folder / "curves.png")


def tables(board: Board) -> dict[str, pd.DataFrame]:
    """Name of the csv file, without suffix -> what stands in it."""
    return {
        "leaderboard": board.rows,
        "paired": board.pairs,
        "paired_per_class": board.class_pairs,
        "per_class": board.classes,
        "profiles": board.profiles,
        "curves": board.curves,
        **({} if board.searched is None else {"search": board.searched}),
    }


def _title(board: Board) -> str:
    suite = board.records.suite
    return f"{suite} ({MINI})" if suite.endswith("_mini") else suite
