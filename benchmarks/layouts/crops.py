"""Which part of a left atrium volume is kept: boxes in x and y, all of z."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from harness.api.errors import DataError

Box = tuple[slice, slice, slice]
Grey = NDArray[Any]
Mask = NDArray[np.uint8]
Crop = Callable[[str, Grey, Mask], Box]
"""(patient, grey values [X, Y, Z], label [X, Y, Z]) -> what to keep."""

LEAST = 112
"""Voxels in x and y that a box is widened to before anything else; a side of the field's training patch."""

BODY_MARGIN = 8
SMOOTHING = 4.0
LEVELS = 256


def legacy_crop(patient: str, label: Mask) -> Box:
    """The published crop, which depends on the ground truth, in test volumes too.

    The atrium's bounding box, widened to 112 voxels in x and y, and then by 10 to 19 voxels on each side; z stays
    whole; what lies outside the volume is cut off. The publisher drew these margins without a seed; here they follow
    from the patient's id.
    """
    drawn = hashlib.sha256(f"legacy_crop:{patient}".encode()).digest()
    sides = []
    for axis in (0, 1):
        low, high = _widened(*_extent(label, axis), LEAST)
        before, after = (10 + byte % 10 for byte in drawn[2 * axis : 2 * axis + 2])
        sides.append(slice(max(low - before, 0), min(high + after, label.shape[axis])))
    return (sides[0], sides[1], slice(None))


def body_crop(grey: Grey, label: Mask) -> Box:
    """The body's bounding box in x and y, from intensities alone; the heart is inside it.

    Body is what is brighter, in the smoothed mean over z, than half of Otsu's threshold above the darkest value: low
    enough to take in tissue far from the coil, well above the noise of air. The label has no say; it is compared with
    the box afterwards. Raises `DataError` if any of it lies outside: metrics of such a volume would be too good.
    """
    plane = gaussian_filter(grey.mean(axis=2, dtype=np.float64), SMOOTHING)
    body = plane > plane.min() + (otsu_threshold(plane) - plane.min()) / 2
    sides = []
    for axis in (0, 1):
        low, high = _extent(body, axis)
        low, high = _fitted(*_widened(low - BODY_MARGIN, high + BODY_MARGIN, LEAST), body.shape[axis])
        sides.append(slice(low, high))
    box = (sides[0], sides[1], slice(None))
    cut = int(label.sum(dtype=np.int64) - label[box].sum(dtype=np.int64))
    if cut:
        raise DataError(f"{cut} voxels of the atrium lie outside the body's box, which is wrong then; use la instead")
    return box


def otsu_threshold(values: NDArray[np.float64]) -> float:
    """The value that best separates a histogram of 256 bins in two: largest variance between them (Otsu, 1979)."""
    counts, edges = np.histogram(values, LEVELS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], values.size
    sums = np.cumsum(counts * centres)
    mean_below, mean_above = sums[:-1] / below, (sums[-1] - sums[:-1]) / (total - below)
    return float(edges[1 + int(np.argmax(below * (total - below) * (mean_below - mean_above) ** 2))])


def _extent(mask: NDArray[Any], axis: int) -> tuple[int, int]:
    """Along one axis, first and one past the last of what is set anywhere."""
    places = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
    return int(places[0]), int(places[-1]) + 1


def _widened(low: int, high: int, least: int) -> tuple[int, int]:
    """At least `least` long, grown alike on both sides; may leave the volume."""
    lack = max(least - (high - low), 0)
    return low - lack // 2, high + lack - lack // 2


def _fitted(low: int, high: int, length: int) -> tuple[int, int]:
    """Moved into the volume at the same width; all of it, if it is wider."""
    start = max(min(low, length - (high - low)), 0)
    return start, min(start + high - low, length)
