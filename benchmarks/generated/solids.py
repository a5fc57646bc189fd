"""Solids on a grid of voxels, as distances that a threshold turns into masks."""

import numpy as np

from benchmarks.generated.noise import Array

Point = tuple[float, float, float]
Shape = tuple[int, int, int]


def ellipsoid(shape: Shape, centre: Point, radii: Point) -> Array:
    """Distance from `centre` in units of the radii, so that the surface is at 1; [X, Y, Z]."""
    grid = np.ogrid[: shape[0], : shape[1], : shape[2]]
    squares = (((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii, strict=True))
    distance: Array = np.sqrt(sum(squares))
    return distance


def tube(shape: Shape, start: Point, end: Point) -> Array:
    """Distance in voxels from the segment between two points; [X, Y, Z]."""
    grid = np.ogrid[: shape[0], : shape[1], : shape[2]]
    way = np.subtract(end, start)
    offsets = [axis - s for axis, s in zip(grid, start, strict=True)]
    along = sum(offset * step for offset, step in zip(offsets, way, strict=True)) / (way @ way)
    share = np.clip(along, 0.0, 1.0)
    distance: Array = np.sqrt(sum((o - share * step) ** 2 for o, step in zip(offsets, way, strict=True)))
    return distance
