"""A slice as a small grey PNG, and the outline of a mask as an SVG path."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 14
"""Pixels around everything that is outlined."""

LEAST = 72
"""Pixels of the smallest picture's side, where the slice has them."""

WINDOW = (0.5, 99.5)
"""Percentiles of the slice that become black and white."""

Points = NDArray[np.int64]


@dataclass(frozen=True)
class Box:
    """Rows and columns of a slice that are shown."""

    top: int
    left: int
    height: int
    width: int

    @property
    def part(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def crop_box(labels: Sequence[NDArray[np.uint8]]) -> Box:
    """A box around all that is labelled in any of the maps [H, W], square where the slice allows."""
    height, width = labels[0].shape
    used = np.any(np.stack(labels) != 0, axis=0)
    rows, columns = (np.flatnonzero(used.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        rows, columns = np.array([height // 2]), np.array([width // 2])
    side = max(LEAST, int(np.ptp(rows)) + 1 + 2 * MARGIN, int(np.ptp(columns)) + 1 + 2 * MARGIN)
    top, tall = _span(rows, side, height)
    left, wide = _span(columns, side, width)
    return Box(top, left, tall, wide)


def _span(used: Points, side: int, available: int) -> tuple[int, int]:
    """Start and length: `side` pixels around the middle of what is used, moved into what there is."""
    length = min(side, available)
    start = (int(used[0]) + int(used[-1]) + 1 - length) // 2
    return min(max(start, 0), available - length), length


def grey_png(image: NDArray[np.floating], box: Box) -> str:
    """The box of a slice [H, W] as a data URI."""
    from PIL import Image

    low, high = np.percentile(image, WINDOW)
    scaled = np.clip((image[box.part] - low) / max(float(high - low), 1e-9), 0.0, 1.0)
    buffer = io.BytesIO()
    Image.fromarray(np.round(255.0 * scaled).astype(np.uint8), mode="L").save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def outline(mask: NDArray[np.bool_], box: Box) -> str:
    """SVG path around the true pixels of a mask [H, W], in half pixels from the corner of the box; "" for none."""
    from contourpy import contour_generator

    part = np.pad(mask[box.part].astype(np.float64), 1)
    # a pixel's centre lies half a pixel from its corner, and the padding moved all by one
    lines = contour_generator(z=part).lines(0.5)
    return "".join(_path(np.rint(2.0 * (np.asarray(line) - 0.5)).astype(np.int64)) for line in lines)


def _path(points: Points) -> str:
    """A closed ring [n, 2] of whole numbers as relative moves, straight runs joined."""
    moves = np.diff(points, axis=0)
    turns = np.flatnonzero(np.any(moves[1:] != moves[:-1], axis=1)) + 1
    corners = np.concatenate([points[:1], points[turns], points[-1:]])
    return f"M{corners[0][0]} {corners[0][1]}" + "".join(_moves(np.diff(corners, axis=0))) + "z"


def _moves(steps: Points) -> Iterator[str]:
    for x, y in steps[:-1]:  # z closes the ring
        yield f"h{x}" if y == 0 else f"v{y}" if x == 0 else f"l{x} {y}"
