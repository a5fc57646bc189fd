"""Draws crossings: validation Dice in each cell, level means and their p-values at the margins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.leaderboard.leaderboard import Leaderboard
from harness.records.files import write_atomic
from harness.report.crossing import Crossing, Effect, Level, crossing
from harness.report.surface import surfaces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#111111", "#666666"


def write_search_picture(leaderboard: Leaderboard, folder: Path) -> Path | None:
    """Write FOLDER/search.png, one panel for each method whose search is a crossing; without any, the file is removed.

    Returns the path of what was written. Raises `DiskError`.
    """
    path = folder / "search.png"
    both = ((surface["entry"], crossing(surface)) for surface in surfaces(leaderboard.inputs.search))
    crossings = [(method, table) for method, table in both if table is not None]
    if not crossings:
        path.unlink(missing_ok=True)
        return None
    write_atomic(path, lambda temporary: draw_crossings(crossings, leaderboard.suite, temporary))
    return path


def draw_crossings(crossings: Sequence[tuple[str, Crossing]], suite: str, path: Path) -> None:
    """Write a PNG; the same records give the same bytes."""
    from matplotlib.figure import Figure

    widths = [3.4 + 0.75 * len(table.across_levels) for _, table in crossings]
    height = 2.3 + 0.5 * max(len(table.up_levels) for _, table in crossings)
    figure = Figure(figsize=(sum(widths), height), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(crossings), squeeze=False, width_ratios=widths)[0]
    for axis, (method, table) in zip(axes, crossings, strict=True):
        _panel(axis, method, table)
    figure.suptitle(
        f"{suite}: Dice (%) of the last validation, means outside", fontsize=11.5, x=0.01, ha="left", color=INK,
        fontweight="bold",
    )  # fmt: skip
    figure.savefig(path, format="png", metadata={"Software": None})


def _panel(axis: Axes, method: str, table: Crossing) -> None:
    percent = 100.0 * table.scores
    rows, columns = percent.shape
    axis.imshow(percent, cmap="cividis", aspect="auto", origin="lower")
    middle = (np.nanmin(percent) + np.nanmax(percent)) / 2.0 if np.isfinite(percent).any() else 0.0
    for (row, column), value in np.ndenumerate(percent):
        text, colour = ("failed", INK) if np.isnan(value) else (f"{value:.1f}", "white" if value < middle else INK)
        axis.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    effects = {effect.name: effect for effect in table.effects()}
    _margin(axis, effects.get(table.across), [(i, rows - 0.3) for i in range(columns)], va="bottom")
    _margin(axis, effects.get(table.up), [(columns - 0.35, i) for i in range(rows)], va="center")
    axis.set_xticks(range(columns), [_level(level) for level in table.across_levels], fontsize=8.5)
    axis.set_yticks(range(rows), [_level(level) for level in table.up_levels], fontsize=8.5)
    axis.set_xlabel(_label(table.across, effects), fontsize=9.5)
    axis.set_ylabel(_label(table.up, effects), fontsize=9.5)
    axis.set_title(method, fontsize=10, loc="left", color=FAINT, pad=24)
    axis.tick_params(color=FAINT)
    axis.spines[:].set_visible(False)


def _margin(axis: Axes, effect: Effect | None, places: Sequence[tuple[float, float]], *, va: str) -> None:
    for (x, y), mean in zip(places, () if effect is None else effect.means, strict=False):
        ha = "center" if va == "bottom" else "left"
        axis.text(x, y, f"{100.0 * mean:.1f}", ha=ha, va=va, fontsize=8.5, color=FAINT, clip_on=False)


def _label(name: str, effects: dict[str, Effect]) -> str:
    """With how often levels that do nothing would differ as much: "decay (p = 0.021)"."""
    if name not in effects:
        return name
    p = effects[name].p
    return f"{name} (p < 0.001)" if p < 0.001 else f"{name} (p = {p:.3f})"


def _level(value: Level) -> str:
    return value if isinstance(value, str) else f"{value:g}"
