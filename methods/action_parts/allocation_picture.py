"""What is shown of an allocation of class centres: scalars at validations, arrays and a figure at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.action_parts.allocation import Allocation
from methods.action_parts.neighbours import LabelledBank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_SLOTS = 16
"""Up to so many slots the cosine matrix is shown entry by entry at validations."""

SHOWN_FEATURES = 64
"""Of a class, at the end."""

READABLE = 12
"""Up to so many slots the cells of a matrix carry their numbers."""

COLOURS = ("#555555", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Grey for the background, then Okabe and Ito's, told apart with any common colour blindness."""

INK, FAINT = "#111111", "#999999"

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def allocation_diagnostics(allocation: Allocation) -> dict[str, float]:
    """Cosine of prototypes with their own centre and, at most, with another; changes; assignment; matrix.

    assignment/<s>:        centre that slot s holds.
    similarity/<s>/<m>:    cosine of slot s's prototype and centre m.
    """
    cosines = allocation.similarity.double().cpu()
    held = allocation.assignment.cpu()
    own = cosines.gather(1, held.unsqueeze(1))
    others = cosines.scatter(1, held.unsqueeze(1), -1.0)
    shown = {
        "own_center_mean": own.mean().item(),
        "own_center_least": own.min().item(),
        "other_center_most": others.max().item(),
        "assignment_changes": float(allocation.changes),
    }
    shown |= {f"assignment/{slot}": float(centre) for slot, centre in enumerate(held.tolist())}
    if len(held) <= SHOWN_SLOTS:
        rows = enumerate(cosines.tolist())
        shown |= {f"similarity/{slot}/{centre}": cosine for slot, row in rows for centre, cosine in enumerate(row)}
    return shown


def allocation_arrays(allocation: Allocation, queue: LabelledBank) -> dict[str, Tensor]:
    """Centres and prototypes with all that relates them, and some of the queue's features.

    centres, prototypes [M, d]: unit vectors; similarity [M slots, M centres]: their cosines.
    assignment [M]:             centre that each slot holds; slot_class [M]: its class.
    features [n, d], labels [n]: float16 unit vectors of single pixels, evenly over what the queue holds of each class.
    """
    chosen = spread_entries(queue, allocation.n_classes, SHOWN_FEATURES)
    return {
        "centres": allocation.centres,
        "prototypes": allocation.prototypes,
        "similarity": allocation.similarity,
        "assignment": allocation.assignment,
        "slot_class": allocation.slot_class,
        "features": queue.entries[chosen].half(),
        "labels": queue.labels[chosen],
    }


def spread_entries(queue: LabelledBank, n_classes: int, count: int) -> Tensor:
    """Numbers of at most `count` entries of each class, class after class: the newest, the oldest, evenly between."""
    size = len(queue.labels)
    newest_first = (queue.enqueued - 1 - torch.arange(size, device=queue.labels.device)) % size
    labels = queue.labels[newest_first]
    chosen = []
    for name in range(n_classes):
        own = newest_first[labels == name]
        places = torch.linspace(0, max(len(own) - 1, 0), min(count, len(own))).round().long()
        chosen.append(own[places.to(own.device)])
    return torch.cat(chosen)


def draw_allocation(arrays: Arrays, classes: Sequence[str]) -> Figure:
    """Similarity matrix, and a plane through features and centres.

    arrays: those of `allocation_arrays`; classes: the task's names, background first.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.8, 4.8), dpi=110)  # laid out by hand: the solver takes most of the time
    figure.subplots_adjust(left=0.13, right=0.985, bottom=0.11, top=0.87, wspace=0.28)
    matrix, plane_of_pixels = figure.subplots(1, 2)
    _draw_similarity(matrix, arrays, slot_names(arrays["slot_class"], classes))
    _draw_plane(plane_of_pixels, arrays, classes)
    for axis in (matrix, plane_of_pixels):
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


def _title(axis: Axes, text: str) -> None:
    axis.set_title(text, fontsize=9.5, loc="left", color="#222222")


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
    axis.set_yticks(range(len(names)), names, fontsize=8 if len(names) <= READABLE else 5)
    axis.set_xlabel("centre", fontsize=9)
    _title(axis, "cosine of prototype (row) and centre; framed: assigned")


def plane(features: Floats, centres: Floats) -> tuple[Floats, Floats, Floats]:
    """First two principal axes [d, 2] of features and centres together, their mean [d], and shares of variance [2].

    Signs are fixed: the entry of largest size of each axis is positive. There are two points and dimensions or more.
    """
    points = np.concatenate((features, centres))
    mean = points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(points - mean, full_matrices=False)
    first = axes[:2]
    largest = first[np.arange(2), np.abs(first).argmax(axis=1)]
    shares = sizes[:2] ** 2 / max(float((sizes**2).sum()), 1e-12)
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
