"""Draws an allocation of class centres: similarity matrix, a plane through features and centres, assignments over time.

`arrays` are those of `allocation_view.allocation_arrays`, `classes` the task's names, background first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READABLE = 12
"""Up to so many slots the cells of a matrix carry their numbers."""

COLOURS = ("#555555", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Grey for the background, then Okabe and Ito's, told apart with any common colour blindness."""

INK, FAINT = "#111111", "#999999"
CHANGED, SAME = "#F5C878", "#EEF1F4"

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def draw_allocation(arrays: Arrays, classes: Sequence[str], diagnostics: Sequence[Mapping[str, float]]) -> Figure:
    """Two panels, and a third one where validations recorded the assignment.

    diagnostics: of `allocation_view.allocation_diagnostics` at each validation.
    """
    from matplotlib.figure import Figure

    names = slot_names(arrays["slot_class"], classes)
    count = 3 if diagnostics else 2
    figure = Figure(figsize=(5.4 * count, 4.8), dpi=110)  # laid out by hand: the solver takes most of the time
    figure.subplots_adjust(left=0.26 / count, right=1.0 - 0.03 / count, bottom=0.11, top=0.87, wspace=0.28)
    axes = figure.subplots(1, count)
    _draw_similarity(axes[0], arrays, names)
    _draw_plane(axes[1], arrays, classes)
    if diagnostics:
        _draw_assignments(axes[2], assignments(diagnostics, len(names)), diagnostics[-1], names)
    for axis in axes:
        axis.tick_params(labelsize=8, color=FAINT)
        axis.spines[:].set_color(FAINT)
    figure.suptitle("class centres and their prototypes", fontsize=11, x=0.01, ha="left", fontweight="bold", color=INK)
    return figure


def slot_names(slot_class: Integers, classes: Sequence[str]) -> list[str]:
    """The class of each slot, numbered where it has several."""
    numbers = slot_class.tolist()
    return [
        classes[name] + (f" {numbers[: slot + 1].count(name)}" if numbers.count(name) > 1 else "")
        for slot, name in enumerate(numbers)
    ]


def assignments(diagnostics: Sequence[Mapping[str, float]], count: int) -> Integers:
    """The centre of each of `count` slots at each validation, [count, validations]."""
    return np.array([[shown[f"assignment/{slot}"] for shown in diagnostics] for slot in range(count)], np.int64)


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, fontsize=9.5, loc="left", color="#222222")


def _name_rows(axis: Axes, names: Sequence[str]) -> None:
    axis.set_yticks(range(len(names)), names, fontsize=8 if len(names) <= READABLE else 5)


def _draw_similarity(axis: Axes, arrays: Arrays, names: Sequence[str]) -> None:
    """Cosines of prototypes and centres; the centre that a slot holds is framed."""
    from matplotlib.patches import Rectangle

    axis.imshow(arrays["similarity"], cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    for slot, centre in enumerate(arrays["assignment"].tolist()):
        corner = (centre - 0.5, slot - 0.5)
        axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.6, clip_on=False))
    if len(names) <= READABLE:
        for (slot, centre), cosine in np.ndenumerate(arrays["similarity"]):
            colour = "white" if abs(cosine) > 0.6 else INK
            axis.text(centre, slot, f"{cosine:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axis.set_xticks(range(len(names)))
    _name_rows(axis, names)
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


def _draw_plane(axis: Axes, arrays: Arrays, classes: Sequence[str]) -> None:
    """Features as dots, prototypes as diamonds, centres as stars, in the colour of their class."""
    features, centres = (arrays[name].astype(np.float64) for name in ("features", "centres"))
    axes, mean, shares = plane(features, centres)
    colours = [COLOURS[0], *(COLOURS[1 + i % (len(COLOURS) - 1)] for i in range(len(classes) - 1))]

    def scatter(points: Floats, numbers: Integers, marker: str, size: float, **style: Any) -> None:  # noqa: ANN401
        flat = (points - mean) @ axes
        axis.scatter(flat[:, 0], flat[:, 1], c=[colours[name] for name in numbers], marker=marker, s=size, **style)

    held = arrays["assignment"]  # so the centre held by slot s is drawn in the colour of slot s
    edge = {"edgecolors": INK, "linewidths": 0.8}
    scatter(features, arrays["labels"], "o", 9, alpha=0.45, linewidths=0)
    scatter(centres[held], arrays["slot_class"], "*", 260, **edge)
    scatter(arrays["prototypes"], arrays["slot_class"], "D", 28, **edge)
    for name, colour in zip(classes, colours, strict=True):
        axis.scatter([], [], c=colour, s=40, label=name)
    axis.legend(fontsize=8, frameon=False, loc="best", handletextpad=0.2)
    axis.set_aspect("equal", adjustable="datalim")
    axis.set_xlabel(f"first principal axis ({100 * shares[0]:.0f} % of variance)", fontsize=9)
    axis.set_ylabel(f"second ({100 * shares[1]:.0f} %)", fontsize=9)
    _title(axis, f"{len(features)} pixels' features, prototypes (diamonds), centres (stars)")


def _draw_assignments(axis: Axes, held: Integers, last: Mapping[str, float], names: Sequence[str]) -> None:
    """The centre of each slot at each validation; a cell is marked where it was another one the validation before."""
    from matplotlib.colors import ListedColormap

    changed = np.diff(held, axis=1, prepend=held[:, :1]) != 0
    axis.imshow(changed, cmap=ListedColormap([SAME, CHANGED]), vmin=0, vmax=1, aspect="auto")
    if len(names) <= READABLE:
        for (slot, validation), centre in np.ndenumerate(held):
            axis.text(validation, slot, str(centre), ha="center", va="center", fontsize=8, color=INK)
    _name_rows(axis, names)
    places = range(0, held.shape[1], max(1, held.shape[1] // 12))
    axis.set_xticks(places, [str(place + 1) for place in places])  # the engine counts validations from 1
    axis.set_xlabel("validation", fontsize=9)
    _title(axis, f"assigned centre; marked: changed; {last['assignment_changes']:.0f} changes in all")
