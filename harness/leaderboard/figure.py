"""Validation Dice against the budget as a picture, one panel per labelled count."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from harness.records.untrusted_text import in_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.stats.bootstrap import Floats

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, distinct for readers with any common colour blindness."""

DASHES: tuple[Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)))

REFERENCE = "#555555"

CURRENCIES = {"device_seconds": "device-seconds", "reference_steps": "reference steps", "steps": "steps"}

Dash = str | tuple[int, tuple[float, ...]]
Style = tuple[str, Dash]


def draw_curves(curves: pd.DataFrame, title: str, path: Path) -> None:
    """Write a PNG: lines are means, bands the range over runs, references grey and dotted."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(curves.groupby(["table", "labelled"], sort=True, dropna=False)) if len(curves) else []
    columns = max(1, len(panels))
    figure = Figure(figsize=(4.6 * columns + 1.2, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    styles = {name: style_of(place) for name, place in palette_places(curves).items()}
    counts = set(curves["labelled"].dropna())
    several = curves["table"].nunique() > 1
    for axis, ((number, labelled), panel) in zip(axes, panels, strict=False):
        name = f"{labelled} labelled patients" if labelled in counts else "references"
        axis.set_title(f"{name} (table {number})" if several else name, fontsize=10.5, loc="left", color="#222222")
        _panel(axis, panel, styles)
    axes[0].set_ylabel("validation Dice (%), mean over classes", fontsize=9.5)
    if not panels:
        axes[0].text(0.5, 0.5, "no validations yet", ha="center", transform=axes[0].transAxes)
    look = {"fontsize": 11.5, "fontweight": "bold", "color": "#111111"}
    figure.suptitle(in_figure(title), x=0.01, ha="left", wrap=True, **look)
    figure.savefig(path, format="png", metadata={"Software": None})


def palette_places(rows: pd.DataFrame) -> dict[str, int | None]:
    """Method -> its number among the ranked ones by name; None for a reference."""
    by_block = {block: sorted(rows.loc[rows["block"] == block, "entry"].unique()) for block in ("reference", "ranked")}
    return dict.fromkeys(by_block["reference"]) | {name: i for i, name in enumerate(by_block["ranked"])}


def style_of(place: int | None) -> Style:
    """Colour and dashes of a method by its number; None for a reference."""
    if place is None:
        return REFERENCE, (0, (1, 1.5))
    return PALETTE[place % len(PALETTE)], DASHES[place // len(PALETTE) % len(DASHES)]


def _panel(axis: Axes, panel: pd.DataFrame, styles: dict[str, Style]) -> None:
    ends = []
    for method, line in panel.groupby("entry", sort=False):
        colour, dashes = styles[str(method)]
        spent = line["spent"].to_numpy()
        mean, low, high = (100.0 * line[f"validation_dice_{name}"].to_numpy() for name in ("mean", "min", "max"))
        axis.fill_between(spent, low, high, color=colour, alpha=0.13, linewidth=0)
        axis.plot(spent, mean, color=colour, linestyle=dashes, linewidth=1.8, marker="o", markersize=3.2)
        ends.append((str(method), colour, float(spent[-1]), float(mean[-1])))
    axis.set_xlabel(f"{CURRENCIES[panel['budget_currency'].iloc[0]]} of training, all stages", fontsize=9.5)
    axis.set_xlim(left=0.0)
    set_plain(axis)
    label_ends(axis, ends)


def set_plain(axis: Axes) -> None:
    """Two grey spines, a faint grid, small ticks."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#999999")
    axis.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8.5, color="#999999")


def label_ends(axis: Axes, ends: list[tuple[str, str, float, float]]) -> None:
    """Names at the ends of the lines, shifted where they would overlap."""
    ends = sorted(ends, key=lambda end: end[3])
    low, high = axis.get_ylim()
    heights = _spread(np.array([end[3] for end in ends]), 0.055 * (high - low), high)
    for (method, colour, spent, value), height in zip(ends, heights, strict=True):
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6, "shrinkA": 0, "shrinkB": 2}
        axis.annotate(
            in_figure(method), xy=(spent, value), xytext=(1.02, height), textcoords=axis.get_yaxis_transform(),
            color=colour, fontsize=9, va="center", annotation_clip=False, arrowprops={**leader, "relpos": (0, 0.5)},
        )  # fmt: skip


def _spread(heights: Floats, gap: float, top: float) -> Floats:
    """Sorted heights moved as little as possible (least squares) so that each is `gap` above the one before."""
    if len(heights) == 0:
        return heights
    steps = np.arange(len(heights)) * gap
    return np.asarray(np.minimum(isotonic_regression(heights - steps).x + steps, top - steps[::-1]))
