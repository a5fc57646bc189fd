"""Two searched dimensions whose levels were all tried together: validation Dice in each cell, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from harness.leaderboard.leaderboard import Leaderboard
from harness.records.files import write_atomic
from harness.records.untrusted_text import in_figure
from harness.report.columns import Json
from harness.report.surface import surfaces

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#111111", "#666666"


def crossing(surface: Mapping[str, Any]) -> pd.DataFrame | None:
    """Validation Dice by the levels of a surface's first two dimensions, a fraction, nan where a trial failed.

    None unless each pair of levels was tried exactly once. Rows and columns are named by their dimensions. Levels are
    in order of size, words in the order of the search.

    surface: as `surface.surfaces` gives it.
    """
    if len(surface["axes"]) < 2:
        return None
    across, up = (surface["dimensions"][axis] for axis in surface["axes"])
    scores = [trial["score"] if trial["status"] == "ok" else None for trial in surface["trials"]]
    trials = pd.DataFrame({"across": across["values"], "up": up["values"], "score": scores})
    places = trials[["across", "up"]].dropna().drop_duplicates()
    if not len(trials) == len(places) == len(_levels(across)) * len(_levels(up)):
        return None
    table = trials.pivot(index="up", columns="across", values="score").loc[_levels(up), _levels(across)]
    return table.astype("float64").rename_axis(index=_name(up), columns=_name(across))


def _levels(dimension: Json) -> list[str | float]:
    levels = list(dict.fromkeys(value for value in dimension["values"] if value is not None))
    return levels if dimension["kind"] == "choice" else sorted(levels)


def _name(dimension: Json) -> str:
    """Its own, or that of all that moves with it: "decay" for student_decay and teacher_decay."""
    names = [dimension["name"], *dimension["with"]]
    tails = {name.rsplit("_", 1)[-1] for name in names}
    name = tails.pop() if len(names) > 1 and len(tails) == 1 else names[0]
    return str(name).replace("_", " ")


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


def draw_crossings(crossings: Sequence[tuple[str, pd.DataFrame]], suite: str, path: Path) -> None:
    """Write a PNG; the same records give the same bytes."""
    from matplotlib.figure import Figure

    widths = [3.4 + 0.75 * table.shape[1] for _, table in crossings]
    height = 2.3 + 0.5 * max(table.shape[0] for _, table in crossings)
    figure = Figure(figsize=(sum(widths), height), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(crossings), squeeze=False, width_ratios=widths)[0]
    for axis, (method, table) in zip(axes, crossings, strict=True):
        _panel(axis, method, table)
    figure.suptitle(
        f"{in_figure(suite)}: Dice (%) of the last validation", fontsize=11.5, x=0.01, ha="left", color=INK,
        fontweight="bold",
    )  # fmt: skip
    figure.savefig(path, format="png", metadata={"Software": None})


def _panel(axis: Axes, method: str, table: pd.DataFrame) -> None:
    percent = 100.0 * table.to_numpy()
    rows, columns = percent.shape
    axis.imshow(percent, cmap="cividis", aspect="auto", origin="lower")
    middle = (np.nanmin(percent) + np.nanmax(percent)) / 2.0 if np.isfinite(percent).any() else 0.0
    for (row, column), value in np.ndenumerate(percent):
        text, colour = ("failed", INK) if np.isnan(value) else (f"{value:.1f}", "white" if value < middle else INK)
        axis.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    axis.set_xticks(range(columns), [_level(level) for level in table.columns], fontsize=8.5)
    axis.set_yticks(range(rows), [_level(level) for level in table.index], fontsize=8.5)
    axis.set_xlabel(in_figure(str(table.columns.name)), fontsize=9.5)
    axis.set_ylabel(in_figure(str(table.index.name)), fontsize=9.5)
    axis.set_title(in_figure(method), fontsize=10, loc="left", color=FAINT)
    axis.tick_params(color=FAINT)
    axis.spines[:].set_visible(False)


def _level(value: str | float) -> str:
    return in_figure(value) if isinstance(value, str) else f"{value:g}"
