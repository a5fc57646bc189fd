"""The leaderboard as terminal text and as markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.leaderboard import grids
from harness.leaderboard.break_even import ladders, leads_by_count
from harness.leaderboard.grids import Cell, Grid
from harness.leaderboard.inputs import Comparison, rows_of
from harness.leaderboard.ladder_figure import has_ladder
from harness.leaderboard.notes import BREAK_EVEN, IMPROVEMENT, LOUD, heading, notes
from harness.leaderboard.scored import scored_grid, scored_lines
from harness.records.cases import METRICS
from harness.records.untrusted_text import in_markdown, markdown_table

if TYPE_CHECKING:
    from harness.leaderboard.leaderboard import Leaderboard

_TERMINAL_METRICS = ("dice", "nsd_voxel", "hd95_voxel", "asd_voxel")
_CLASS_METRICS = ("dice", "hd95_voxel", "asd_voxel")
_MOST_PAIRS = 15

NARROW = 6
"""Characters of a header that stays in a line: "Dice %"; all others are broken at their spaces."""


@dataclass(frozen=True)
class Block:
    title: str
    grid: Grid
    below: tuple[str, ...] = ()


def sections(board: Leaderboard, comparison: Comparison, *, full: bool) -> Iterator[tuple[str, list[Block]]]:
    """Title and tables of each labelled count. full: every metric and pair; else what fits a terminal."""
    for labelled in comparison.labelled_counts:
        frames = (board.results, board.per_class, board.paired)
        results, classes, pairs = (rows_of(frame, comparison.number, labelled) for frame in frames)
        last, best_val = (results[results["checkpoint"] == name] for name in ("last", "best_val"))
        classes, pairs = classes[classes["checkpoint"] == "last"], pairs[pairs["checkpoint"] == "last"]
        dice = pairs[pairs["metric"] == "dice"]
        shown = dice if full else dice.head(_MOST_PAIRS)
        left_out = (f"{len(dice) - len(shown)} more pairs in paired.csv",) if len(dice) > len(shown) else ()
        blocks = [
            Block(
                "test metrics of the last checkpoint, mean and 95 % interval",
                grids.main_grid(last, best_val, METRICS if full else _TERMINAL_METRICS),
            ),
            Block("Dice of the last checkpoint over labelled subsets, and with failures", grids.beside_grid(last)),
            Block("by class", grids.class_grid(last, classes, _class_metrics(classes, full=full))),
            Block("cost, mean and range over runs", grids.cost_grid(last, full=full)),
            Block("allocations of Slurm", grids.allocation_grid(last)),
            Block(
                "paired differences of the last checkpoint, 95 % intervals for all pairs at once",
                grids.pair_grid(shown),
                (IMPROVEMENT, *left_out),
            ),
        ]
        title = "no method trained on a labelled subset" if labelled is None else f"{labelled} labelled patients"
        title += f", {comparison.rung} reference steps" if comparison.rung else ""
        yield title, [block for block in blocks if block.grid.rows]


def rung_blocks(board: Leaderboard, *, intervals: bool) -> Iterator[Block]:
    """All rungs beside each other, a table per ladder and labelled count."""
    last = board.results[board.results["checkpoint"] == "last"]
    for ladder in ladders(board.inputs):
        rows = last[last["table"].isin([comparison.number for comparison in ladder])]
        for labelled, own in rows.groupby("labelled"):
            if own["rung"].nunique() > 1:
                title = f"{labelled} labelled patients: Dice % by reference steps"
                yield Block(title, grids.rung_grid(own, intervals=intervals))


def break_even_blocks(board: Leaderboard) -> Iterator[Block]:
    for count, leads in leads_by_count(board.break_even):
        baselines = " and ".join(leads["baseline"].unique())
        title = f"{count}: break-even of the last checkpoint in reference steps, against {baselines}"
        yield Block(title, grids.break_even_grid(leads), (BREAK_EVEN,))


def _scored_blocks(board: Leaderboard, *, full: bool) -> Iterator[Block]:
    if not board.scored.empty:
        grid = scored_grid(board.scored, METRICS) if full else scored_grid(board.scored, _TERMINAL_METRICS, note=40)
        yield Block("label maps from elsewhere on the same test split, not ranked", grid, scored_lines(board.scored))


def _class_metrics(classes: pd.DataFrame, *, full: bool) -> list[str]:
    """All that fit 100 columns: with many classes the Dice alone."""
    if full:
        return list(classes["metric"].unique())
    return list(_CLASS_METRICS) if classes["class_name"].nunique() <= 3 else ["dice"]


def show(board: Leaderboard, console: Console) -> None:
    """Print every table; readable from 100 columns on, narrower terminals wrap."""
    for comparison in board.inputs.comparisons:
        console.rule(f"[bold]{escape(heading(board.inputs, comparison))}", align="left")
        for line in notes(board.inputs, comparison):
            console.print(Padding(Text(line, style="bold yellow" if line.startswith(LOUD) else ""), (0, 0, 0, 1)))
        for title, blocks in sections(board, comparison, full=False):
            console.print()
            for block in blocks:
                _show_block(console, block, f"{title}: {block.title}")
    for block in chain(rung_blocks(board, intervals=True), break_even_blocks(board)):
        _show_block(console, block, block.title)
    for block in _scored_blocks(board, full=False):
        _show_block(console, block, block.title)


def _show_block(console: Console, block: Block, title: str) -> None:
    console.print(rich_table(block.grid, title))
    for line in block.below:
        console.print(Padding(Text(line, style="dim"), (0, 0, 0, 1)))


def rich_table(grid: Grid, title: str) -> Table:
    """A table for the terminal, references below a line."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    for i, header in enumerate(grid.headers):
        words = i < grid.text
        broken = header if words or len(header) <= NARROW else header.replace(" ", "\n")
        table.add_column(broken, justify="left" if words else "right", vertical="top", no_wrap=words)
    for i, cells in enumerate(grid.rows):
        if i == grid.ranked and i:
            table.add_section()
        table.add_row(*(_terminal_cell(cell) for cell in cells), style="italic" if i >= grid.ranked else None)
    return table


def _terminal_cell(cell: Cell) -> Text:
    value, beside = cell
    text = Text(value, style="dim" if value == "not significant" else "")
    return text.append(f"\n{beside}", style="dim") if beside else text


def terminal_text(board: Leaderboard, width: int = 100) -> str:
    return plain_text(show, board, width)


def plain_text(printer: Callable[[Leaderboard, Console], None], board: Leaderboard, width: int) -> str:
    """What a function prints of a board on a console of this width, without colours."""
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        printer(board, console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def markdown(board: Leaderboard) -> str:
    parts: list[str] = []
    for comparison in board.inputs.comparisons:
        parts.append(f"# {in_markdown(heading(board.inputs, comparison))}")
        parts.append("\n".join(f"- {in_markdown(line)}" for line in notes(board.inputs, comparison)))
        for title, blocks in sections(board, comparison, full=True):
            parts.append(f"## {title}")
            for block in blocks:
                parts += [f"{block.title[0].upper()}{block.title[1:]}:", _markdown_table(block.grid), *block.below]
    for block in chain(rung_blocks(board, intervals=True), break_even_blocks(board)):
        parts += [f"## {block.title}", _markdown_table(block.grid), *block.below]
    for block in _scored_blocks(board, full=True):
        parts += [f"## {block.title[0].upper()}{block.title[1:]}", _markdown_table(block.grid), *block.below]
    parts.append("![Validation Dice against the budget](curves.png)")
    if has_ladder(board.inputs):
        parts.append("![Test Dice against the budget of a run](ladder.svg)")
    return "\n\n".join(parts) + "\n"


def _markdown_table(grid: Grid) -> str:
    lines = [grid.headers]
    for i, cells in enumerate(grid.rows):
        texts = tuple(" ".join(part for part in cell if part) for cell in cells)
        column = grid.text - 1
        marked = f"*{texts[column]}* (reference)"
        lines.append((*texts[:column], marked, *texts[column + 1 :]) if i >= grid.ranked else texts)
    return markdown_table(lines, "l" * grid.text + "r" * (len(grid.headers) - grid.text))
