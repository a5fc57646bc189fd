"""Draws `Centers`: similarity matrix, a plane through features and centres, the assignment from look to look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.leaderboard.figure import PALETTE, REFERENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from harness.report.centers import Centers, Floats

READABLE = 12
"""Up to so many slots the cells of a matrix carry their numbers."""

CHANGED = "#F5C878"
SAME = "#EEF1F4"


def draw_centers(centers: Centers, path: Path) -> None:
    """Write a PNG; the same records give the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_similarity, _plane, *([_assignment] if centers.looks else [])]
    figure = Figure(figsize=(5.4 * len(panels), 4.8), dpi=110)  # laid out by hand: the solver takes most of the time
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.26 / len(panels), right=1.0 - 0.03 / len(panels), bottom=0.11, top=0.87, wspace=0.28)
    for panel, axis in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        panel(axis, centers)
        axis.tick_params(labelsize=8, color="#999999")
        for side in axis.spines.values():
            side.set_color("#999999")
    figure.suptitle(centers.title, fontsize=11, x=0.01, ha="left", fontweight="bold", color="#111111")
    figure.savefig(path, format="png", metadata={"Software": None})


def _colours(centers: Centers) -> list[str]:
    """Of each class; the background is grey."""
    return [REFERENCE, *(PALETTE[i % len(PALETTE)] for i in range(len(centers.classes) - 1))]


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, fontsize=9.5, loc="left", color="#222222")


def _rows(axis: Axes, centers: Centers) -> None:
    """One row a slot, named by its class."""
    count = len(centers.assignment)
    axis.set_yticks(range(count), centers.slot_names, fontsize=8 if count <= READABLE else 5)


def _similarity(axis: Axes, centers: Centers) -> None:
    """Cosines of prototypes and centres; the centre that a slot holds is framed."""
    from matplotlib.patches import Rectangle

    count = len(centers.assignment)
    axis.imshow(centers.similarity, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    for slot, centre in enumerate(centers.assignment.tolist()):
        axis.add_patch(
            Rectangle((centre - 0.5, slot - 0.5), 1, 1, fill=False, edgecolor="#111111", linewidth=1.6, clip_on=False)
        )
    if count <= READABLE:
        for (slot, centre), cosine in np.ndenumerate(centers.similarity):
            colour = "white" if abs(cosine) > 0.6 else "#111111"
            axis.text(centre, slot, f"{cosine:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axis.set_xticks(range(count))
    _rows(axis, centers)
    axis.set_xlabel("centre", fontsize=9)
    _title(axis, "cosine of prototype (row) and centre; framed: assigned")


def plane(features: Floats, centres: Floats) -> tuple[Floats, Floats, Floats]:
    """First two principal axes [d, 2] of features and centres together, their mean [d], and shares of variance [2].

    Signs are fixed: the entry of largest size of each axis is positive. What has fewer dimensions gets zero axes.
    """
    points = np.concatenate((features, centres))
    mean = points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(points - mean, full_matrices=False)
    first = np.zeros((2, points.shape[1]))
    first[: len(axes[:2])] = axes[:2]
    largest = first[np.arange(2), np.abs(first).argmax(axis=1)]
    shares = np.zeros(2)
    shares[: len(sizes[:2])] = sizes[:2] ** 2 / max(float((sizes**2).sum()), 1e-12)
    return (first * np.where(largest < 0, -1.0, 1.0)[:, None]).T, mean, shares


def _plane(axis: Axes, centers: Centers) -> None:
    """Features as dots, prototypes as diamonds, centres as stars, in the colour of their class."""
    axes, mean, shares = plane(centers.features, centers.centres)
    colours = _colours(centers)

    def scatter(points: Floats, classes: list[int], marker: str, size: float, **style: object) -> None:
        flat = (points - mean) @ axes
        faces = [colours[name] for name in classes]
        axis.scatter(flat[:, 0], flat[:, 1], c=faces, marker=marker, s=size, **style)  # type: ignore[arg-type]

    scatter(centers.features, centers.labels.tolist(), "o", 9, alpha=0.45, linewidths=0)
    scatter(centers.centres, centers.centre_class.tolist(), "*", 260, edgecolors="#111111", linewidths=0.8)
    scatter(centers.prototypes, centers.slot_class.tolist(), "D", 28, edgecolors="#111111", linewidths=0.8)
    for name, colour in zip(centers.classes, colours, strict=True):
        axis.scatter([], [], c=colour, s=40, label=name)
    axis.legend(fontsize=8, frameon=False, loc="best", handletextpad=0.2)
    axis.set_aspect("equal", adjustable="datalim")
    axis.set_xlabel(f"first principal axis ({100 * shares[0]:.0f} % of variance)", fontsize=9)
    axis.set_ylabel(f"second ({100 * shares[1]:.0f} %)", fontsize=9)
    _title(axis, f"{len(centers.labels)} pixels' features, prototypes (diamonds), centres (stars)")


def _assignment(axis: Axes, centers: Centers) -> None:
    """The centre of each slot at each look; a cell is marked where it is another one than at the look before."""
    from matplotlib.colors import ListedColormap

    before = np.concatenate((centers.by_look[:, :1], centers.by_look[:, :-1]), axis=1)
    axis.imshow(centers.by_look != before, cmap=ListedColormap([SAME, CHANGED]), vmin=0, vmax=1, aspect="auto")
    if len(centers.assignment) <= READABLE:
        for (slot, look), centre in np.ndenumerate(centers.by_look):
            axis.text(look, slot, str(centre), ha="center", va="center", fontsize=8, color="#111111")
    _rows(axis, centers)
    step = max(1, len(centers.looks) // 12)
    axis.set_xticks(range(0, len(centers.looks), step), [str(look) for look in centers.looks[::step]])
    axis.set_xlabel("validation look", fontsize=9)
    changes = "" if centers.changes is None else f"; {centers.changes} changes in all"
    _title(axis, f"assigned centre by look, marked: another{changes}")
