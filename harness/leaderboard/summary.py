"""The leaderboard at a glance, 80 columns wide: the answer, then a table per labelled count and a short legend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from harness.leaderboard.grids import short_grid
from harness.leaderboard.headline import best_baseline, both_ways, break_even_answers, verdicts
from harness.leaderboard.inputs import Comparison, rows_of
from harness.leaderboard.notes import LOUD, notes
from harness.leaderboard.render import plain_text, rich_table, rung_blocks
from harness.leaderboard.scored import scored_grid, scored_lines
from harness.records.untrusted_text import single_line

if TYPE_CHECKING:
    from harness.leaderboard.leaderboard import Leaderboard

WIDTH = 80
LEGEND = (
    "#: ranks that the data allow. ±: SD over runs. missed: structures not found.",
    "95 %: over patients, for these seeds and labelled subsets alone.",
    "lead: over the best labelled-only baseline; sig.: significant among all pairs.",
)


def show_summary(board: Leaderboard, console: Console) -> None:
    """Print the answers, a table per labelled count, the loudest notes, and a legend."""
    for title, sentences in break_even_answers(board):
        _print(console, f"{title}: {' '.join(sentences)}")
    for comparison in board.inputs.comparisons:
        console.rule(f"[bold]{escape(_heading(board, comparison))}", align="left")
        for title, sentences in verdicts(board, comparison):
            _print(console, f"{title}: {sentences[0]}")
        for labelled in comparison.labelled_counts:
            _show_table(board, comparison, labelled, console)
        for line in _warnings(board, comparison):
            _print(console, line, "bold yellow")
    for block in rung_blocks(board, intervals=False):
        console.print()
        _print(console, block.title, "bold")
        console.print(rich_table(block.grid, ""))
    if not board.scored.empty:
        console.print()
        console.print(rich_table(scored_grid(board.scored, ("dice",), note=40), " From elsewhere, not ranked"))
        _print(console, scored_lines(board.scored)[1])
    for line in LEGEND:
        _print(console, line, "dim")


def summary_text(board: Leaderboard) -> str:
    return plain_text(show_summary, board, WIDTH)


def _heading(board: Leaderboard, comparison: Comparison) -> str:
    """Suite, budget and size of the test: "acdc_mini: 500 reference steps a run, 20 test patients"."""
    shared, patients = comparison.conditions, comparison.tested["patient"].nunique()
    parts = [f"table {comparison.number}: {comparison.title}"] if comparison.title else []
    if shared is not None:
        if comparison.title == shared.budget:  # of a ladder
            parts = [f"table {comparison.number}"]
        parts += [f"{shared.budget} a run", f"{patients} test patients of {shared.dataset}"]
    return single_line(f"{board.suite}: {', '.join(parts)}" if parts else board.suite)


def _show_table(board: Leaderboard, comparison: Comparison, labelled: int | None, console: Console) -> None:
    frames = (rows_of(frame, comparison.number, labelled) for frame in (board.results, board.paired))
    results, paired = (frame[frame["checkpoint"] == "last"] for frame in frames)
    pairs = both_ways(paired[paired["metric"] == "dice"].to_dict("records"))
    grid = short_grid(results, pairs, best_baseline(comparison, labelled, results))
    title = "References alone" if labelled is None else f"{labelled} labelled patients"
    runs = "" if "runs" in grid.headers else f", {(n := results['n_runs'].iloc[0])} run{'s' if n > 1 else ''} each"
    console.print()
    console.print(rich_table(grid, f" {title}{runs}"))


def _warnings(board: Leaderboard, comparison: Comparison) -> Iterator[str]:
    """The first of each kind, with the number of the others."""
    loud = [line for line in notes(board.inputs, comparison) if line.startswith(LOUD)]
    for kind in LOUD:
        first, *more = [line for line in loud if line.startswith(kind)] or [""]
        if first:
            yield f"{first.removesuffix('.')}; {len(more)} more such." if more else first


def _print(console: Console, line: str, style: str = "") -> None:
    console.print(Padding(Text(single_line(line), style=style), (0, 0, 0, 1)))
