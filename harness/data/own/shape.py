"""2D or 3D, voxel size, and size of training images: what the geometry of a dataset's scans proposes."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from harness.api.errors import DataError
from harness.api.scans.geometry import Spacing

Shape = tuple[int, int, int]
Axes = tuple[int, int, int]

FLAT = 3.0
"""Voxels so many times thicker than wide are taken slice by slice (nnU-Net calls them anisotropic)."""

ALIKE = 1e-3
"""Relative difference up to which two voxel sizes are the same."""

POOLED = 16
"""Sides of training images are multiples of it: four poolings."""

PATCH_VOXELS = 2**20

SLICE_SIDE = 256


def choose_axes(
    shapes: Sequence[Shape], spacings: Sequence[Spacing | None], dimension: Literal[2, 3] | None
) -> tuple[Literal[2, 3], Axes]:
    """2D or 3D, and the axes [X, Y, Z] of scans in the order of a case's.

    Slices lie along the axis with the thickest voxels, and are turned so that an axial one is [Y, X].

    dimension: None chooses 2 for voxels over three times thicker than wide, or a single slice.

    Raises `DataError` where it must be chosen and the voxel size is unknown.
    """
    known = np.array([spacing for spacing in spacings if spacing is not None])
    single = [axis for axis in range(3) if all(shape[axis] == 1 for shape in shapes)]
    if dimension is None and not single and len(known) == 0:
        raise DataError("voxel size unknown, so 2D or 3D cannot be chosen: give --dimension, or --spacing-mm")
    sides = np.median(known, axis=0) if len(known) else np.ones(3)
    if dimension is None:
        dimension = 2 if single or sides.max() > FLAT * sides.min() else 3
    if dimension == 3:
        return 3, (0, 1, 2)
    thick = single[-1] if single else 2 - int(np.argmax(sides[::-1]))
    rows, columns = sorted({0, 1, 2} - {thick}, reverse=True)
    return 2, (thick, rows, columns)


def target_spacing(spacings: Sequence[Spacing | None], resample: bool | None) -> Spacing | None:
    """The median voxel size that volumes are brought to; None where they are left as they are.

    resample: None resamples where all voxel sizes are known. Raises `DataError` where it is asked for and some are not.
    """
    if resample is False or (resample is None and None in spacings):
        return None
    if unknown := spacings.count(None):
        raise DataError(f"--resample: the voxel size of {unknown} scans is unknown; give --spacing-mm, or leave it out")
    x, y, z = (round(float(side), 6) for side in np.median(np.array(spacings), axis=0))
    return x, y, z


def grid_at(shape: Shape, spacing: Spacing | None, target: Spacing | None) -> Shape | None:
    """The shape of a volume at the target voxel size. None where that is its own."""
    if spacing is None or target is None or np.allclose(spacing, target, rtol=ALIKE, atol=0):
        return None
    x, y, z = (max(1, round(side * own / wanted)) for side, own, wanted in zip(shape, spacing, target, strict=True))
    return None if (x, y, z) == shape else (x, y, z)


def propose_size(shapes: Sequence[Shape], spacing: Spacing | None, dimension: Literal[2, 3]) -> tuple[int, ...]:
    """Pixels of a training slice, or voxels of a patch: multiples of 16.

    A slice has the median shape, scaled down to 256 pixels a side at most; a patch the median shape, its longest side
    in mm shortened until it has at most 2^20 voxels. Unknown voxels are taken for isotropic.
    """
    median = np.median(np.array(shapes), axis=0)
    if dimension == 2:
        plane = median[1:] * min(1.0, SLICE_SIDE / median[1:].max())
        return tuple(max(POOLED, POOLED * round(side / POOLED)) for side in plane)
    size = [POOLED * math.ceil(side / POOLED) for side in median]
    lengths = np.array(spacing or (1.0, 1.0, 1.0))
    while math.prod(size) > PATCH_VOXELS:
        size[int(np.argmax(np.where(np.array(size) > POOLED, size * lengths, 0)))] -= POOLED
    return tuple(size)
