"""The leaderboard as LaTeX: a booktabs table for each labelled count, ready for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.leaderboard.grids import Cell, Grid, main_grid
from harness.leaderboard.inputs import Comparison, rows_of
from harness.leaderboard.notes import MINI, facts
from harness.records.untrusted_text import single_line

if TYPE_CHECKING:
    from harness.leaderboard.leaderboard import Leaderboard

METRICS = ("dice", "jaccard", "nsd_voxel", "hd95_voxel", "asd_voxel")
NAME = 1

PREAMBLE = "% \\usepackage{booktabs}\n"
LEGEND = (
    "Mean over test patients of the last checkpoint, in brackets its 95\\,\\% interval (bootstrap-t over patients, "
    "conditional on the seeds and subsets that ran); after $\\pm$ the standard deviation over runs. Rank: the best and "
    "the worst that significant differences in Dice allow; bold names where no method is significantly better; in "
    "italics references, which are not ranked."
)
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
_ESCAPES = str.maketrans(SPECIAL)


def escaped(text: str) -> str:
    """One line of text that LaTeX prints as it is."""
    return single_line(text).translate(_ESCAPES)


def latex(board: Leaderboard) -> str:
    """Write every table of the last checkpoint as LaTeX."""
    tables = [table for comparison in board.inputs.comparisons for table in _tables(board, comparison)]
    return PREAMBLE + "\n".join(tables)


def _tables(board: Leaderboard, comparison: Comparison) -> Iterator[str]:
    about = ". ".join(f"{name}: {text}" for name, text in facts(comparison))
    about = f"{MINI}. {about}" if board.suite.endswith("_mini") else about
    for labelled in comparison.labelled_counts:
        rows = rows_of(board.results, comparison.number, labelled)
        grid = main_grid(rows[rows["checkpoint"] == "last"], rows.iloc[:0], METRICS)
        title = "references" if labelled is None else f"{labelled} labelled patients"
        title += f", {comparison.title}" if comparison.title else ""
        label = re.sub(r"[^a-z0-9]+", "-", f"{board.suite} {comparison.number} {labelled or 'all'}")
        caption = f"{escaped(f'{board.suite}, {title}. {about}.')} {LEGEND}"
        yield "\n".join([
            r"\begin{table}", r"\centering\small", f"\\caption{{{caption}}}", f"\\label{{tab:{label}}}",
            f"\\begin{{tabular}}{{{'l' * grid.text}{'r' * (len(grid.headers) - grid.text)}}}", r"\toprule",
            *_lines(grid), r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
        ])  # fmt: skip


def _lines(grid: Grid) -> Iterator[str]:
    yield _line([escaped(header) for header in grid.headers])
    for i, cells in enumerate(grid.rows):
        if i in {0, grid.ranked}:
            yield r"\midrule"
        style = "textit" if i >= grid.ranked else "textbf" if cells[0][0].split("-")[0] == "1" else ""
        yield _line([_cell(cell, style if column == NAME else "") for column, cell in enumerate(cells)])


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _cell(cell: Cell, style: str) -> str:
    value, beside = map(escaped, cell)
    styled = f"\\{style}{{{value}}}" if style and value else value
    return f"{styled} {{\\scriptsize {beside}}}" if beside else styled
