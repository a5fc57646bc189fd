"""The board as terminal text and as markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.leaderboard.grids import (
    Cell,
    Grid,
    allocation_grid,
    beside_grid,
    class_grid,
    cost_grid,
    main_grid,
    pair_grid,
)
from harness.leaderboard.inputs import Comparison
from harness.leaderboard.leaderboard import Leaderboard
from harness.leaderboard.notes import IMPROVEMENT, MINI, heading, notes

_TERMINAL_METRICS = ("dice", "jaccard", "hd95_voxel", "asd_voxel")
_CLASS_METRICS = ("dice", "hd95_voxel", "asd_voxel")
_MOST_PAIRS = 15
_LOUD = (MINI, "Unfinished:", "Failed:", "Unexplained:")


@dataclass(frozen=True)
class Section:
    """The tables of one labelled count."""

    title: str
    main: Grid
    beside: Grid
    classes: Grid
    costs: Grid
    allocations: Grid
    pairs: Grid
    pairs_left_out: int


def sections(board: Leaderboard, comparison: Comparison, *, full: bool) -> Iterator[Section]:
    """Tables of one comparison, by labelled count. full: every metric and every pair; else what fits a terminal."""
    rows = board.results[board.results["table"] == comparison.number]
    for labelled in rows["labelled"].unique():
        table = _of(rows, labelled)
        last, best_val = table[table["selection"] == "last"], table[table["selection"] == "best_val"]
        classes, pairs = (_last(frame, comparison, labelled) for frame in (board.per_class, board.paired))
        dice = pairs[pairs["metric"] == "dice"]
        shown = dice if full else dice.head(_MOST_PAIRS)
        metrics = list(classes["metric"].unique()) if full else _class_metrics(classes)
        yield Section(
            title="no method trained on a labelled subset" if pd.isna(labelled) else f"{labelled} labelled patients",
            main=main_grid(last, best_val) if full else main_grid(last, best_val, _TERMINAL_METRICS),
            beside=beside_grid(last),
            classes=class_grid(last, classes, metrics),
            costs=cost_grid(last, full=full),
            allocations=allocation_grid(last),
            pairs=pair_grid(shown),
            pairs_left_out=len(dice) - len(shown),
        )


def _of(frame: pd.DataFrame, labelled: object) -> pd.DataFrame:
    same = frame["labelled"].isna() if pd.isna(labelled) else frame["labelled"] == labelled  # type: ignore[call-overload]
    return frame[same]


def _last(frame: pd.DataFrame, comparison: Comparison, labelled: object) -> pd.DataFrame:
    own = _of(frame[frame["table"] == comparison.number], labelled)
    return own[own["selection"] == "last"]


def _class_metrics(classes: pd.DataFrame) -> list[str]:
    """All that fit 100 columns: with many classes the Dice alone."""
    return list(_CLASS_METRICS) if classes["class_name"].nunique() <= 3 else ["dice"]


def show(board: Leaderboard, console: Console) -> None:
    """Print every table; readable from 100 columns on, narrower terminals wrap."""
    for comparison in board.inputs.comparisons:
        console.rule(f"[bold]{escape(heading(board.inputs, comparison))}", align="left")
        for line in notes(board.inputs, comparison):
            console.print(Padding(Text(line, style="bold yellow" if line.startswith(_LOUD) else ""), (0, 0, 0, 1)))
        for section in sections(board, comparison, full=False):
            _show_section(section, console)


def _show_section(section: Section, console: Console) -> None:
    title = f"{section.title}, last checkpoint"
    console.print()
    console.print(_table(section.main, f"{title}: test metrics, mean and 95 % interval", gap=0))
    console.print(_table(section.beside, f"{title}: Dice over subsets and seeds, and its middle half"))
    console.print(_table(section.classes, f"{title}: by class"))
    console.print(_table(section.costs, f"{title}: cost, mean and range over units"))
    if section.allocations.rows:
        console.print(_table(section.allocations, f"{section.title}: allocations of Slurm"))
    if section.pairs.rows:
        console.print(_table(section.pairs, f"{title}: paired differences, 95 % intervals for all pairs at once"))
        console.print(Padding(Text(IMPROVEMENT, style="dim"), (0, 0, 0, 1)))
    if section.pairs_left_out:
        console.print(Padding(Text(f"{section.pairs_left_out} more pairs in paired.csv"), (0, 0, 0, 1)))


def _table(grid: Grid, title: str, gap: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0))
    for i, header in enumerate(grid.headers):
        words = i < grid.text
        broken = header if words else header.replace(" ", "\n")
        table.add_column(broken, justify="left" if words else "right", vertical="top", no_wrap=words)
    first_reference = len(grid.rows) - grid.references
    for i, cells in enumerate(grid.rows):
        if i == first_reference and i:
            table.add_section()
        table.add_row(*(_terminal_cell(cell) for cell in cells), style="italic" if i >= first_reference else None)
    return table


def _terminal_cell(cell: Cell) -> Text:
    value, beside = cell
    text = Text(value, style="dim" if value == "within noise" else "")
    return text.append(f"\n{beside}", style="dim") if beside else text


def terminal_text(board: Leaderboard, width: int = 100) -> str:
    """What `show` prints, without colours."""
    console = Console(file=StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        show(board, console)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def markdown(board: Leaderboard) -> str:
    """The whole board as markdown."""
    parts: list[str] = []
    for comparison in board.inputs.comparisons:
        parts.append(f"# {heading(board.inputs, comparison)}")
        parts.append("\n".join(f"- {line}" for line in notes(board.inputs, comparison)))
        for section in sections(board, comparison, full=True):
            parts += [f"## {section.title}", "Test metrics of the last checkpoint:", _markdown_table(section.main)]
            parts += ["Dice over subsets and seeds, and its middle half:", _markdown_table(section.beside)]
            parts += ["By class (intervals in per_class.csv):", _markdown_table(section.classes)]
            parts += ["Cost, mean and range over units:", _markdown_table(section.costs)]
            if section.allocations.rows:
                parts += ["Allocations of Slurm:", _markdown_table(section.allocations)]
            if section.pairs.rows:
                parts += ["Paired differences of the last checkpoint, with 95 % intervals for all pairs at once:"]
                parts += [_markdown_table(section.pairs), IMPROVEMENT]
    parts.append("![Validation Dice against device-seconds](curves.png)")
    return "\n\n".join(parts) + "\n"


def _markdown_table(grid: Grid) -> str:
    lines = [grid.headers, tuple(":--" if i < grid.text else "--:" for i in range(len(grid.headers)))]
    first_reference = len(grid.rows) - grid.references
    for i, cells in enumerate(grid.rows):
        texts = tuple(" ".join(part for part in cell if part).replace("|", "\\|") for cell in cells)
        column = grid.text - 1
        marked = f"*{texts[column]}* (reference)"
        lines.append((*texts[:column], marked, *texts[column + 1 :]) if i >= first_reference else texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
