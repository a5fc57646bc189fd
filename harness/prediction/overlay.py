"""A picture of a prediction: a few slices of the scan with the outline of each class."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.api.dataset import LabelMap

COLOURS = ("#D55E00", "#56B4E9", "#F0E442", "#009E73", "#CC79A7", "#E69F00", "#0072B2")
"""Okabe and Ito's, which people with any colour vision tell apart, the best visible ones on grey first."""
SLICES = 4
"""Of a picture at most."""
WINDOW = (0.5, 99.5)
"""Percentiles of the scan that become black and white."""
INCHES = 3.0
"""Width of a slice."""


def overlay_png(
    image: NDArray[np.floating], labels: LabelMap, foreground: Sequence[str], aspect: float, title: str
) -> bytes:
    """A PNG of evenly spread slices out of those with a label, or out of all where there is none.

    image, labels: slices as they are displayed, [Z, H, W]; foreground: names of labels 1, 2, ...; aspect: height over
    width of a pixel. The same arguments give the same bytes.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    numbers = shown_slices(labels)
    low, high = np.percentile(image, WINDOW)
    height, width = labels.shape[1:]
    tall = INCHES * min(max(aspect * height / width, 0.5), 2.0)
    figure = Figure(figsize=(INCHES * len(numbers), tall + 0.8), layout="constrained")
    for axis, number in zip(figure.subplots(1, len(numbers), squeeze=False)[0], numbers, strict=True):
        axis.imshow(image[number], cmap="gray", vmin=low, vmax=max(high, low + 1e-9), aspect=aspect)
        axis.set_title(f"slice {number + 1} of {len(labels)}", fontsize=8)
        axis.set_axis_off()
        for value in range(1, len(foreground) + 1):
            mask = labels[number] == value
            if mask.any():
                axis.contour(mask.astype(np.float32), [0.5], colors=[_colour_of(value)], linewidths=1.0)
    figure.suptitle(title, fontsize=9)
    lines = [Line2D([], [], color=_colour_of(value + 1), label=name) for value, name in enumerate(foreground)]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(len(lines), 6), fontsize=8, frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def shown_slices(labels: LabelMap) -> list[int]:
    """At most `SLICES` evenly spread slices."""
    used = np.flatnonzero(labels.any(axis=(1, 2))) if labels.any() else np.arange(len(labels))
    places = (np.arange(SLICES) + 0.5) * len(used) / SLICES
    return [int(used[place]) for place in dict.fromkeys(places.astype(int).tolist())]


def _colour_of(value: int) -> str:
    return COLOURS[(value - 1) % len(COLOURS)]
