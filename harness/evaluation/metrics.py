"""Overlap and surface metrics of whole label maps at native resolution, with a stated rule for empty masks.

Surfaces are the voxels of a mask that have a background face-neighbour; what lies outside the volume is background.
ASD is directed, prediction to truth, as the field prints it; ASSD is the mean and HD95 the 95th percentile of both
directed distance sets pooled. Where both masks hold something, every value equals MedPy's.

Both masks empty: Dice and Jaccard 1, distances 0. Exactly one empty: Dice and Jaccard 0, distances the diagonal of the
native volume, so that an undetected structure never scores better than one that was segmented badly.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from harness.api.dataset import LabelMap

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]
Surface = tuple[float, float, float]
"""HD95, ASD and ASSD in one unit of length."""


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class in one volume.

    dice, jaccard:                     in [0, 1].
    hd95_voxel, asd_voxel, assd_voxel: in voxels, as if voxels were unit cubes.
    hd95_mm, asd_mm, assd_mm:          in millimetres; None where the spacing is unknown.
    missed:                            the truth holds the class and the prediction does not.
    spurious:                          the prediction holds the class and the truth does not.
    """

    dice: float
    jaccard: float
    hd95_voxel: float
    asd_voxel: float
    assd_voxel: float
    hd95_mm: float | None
    asd_mm: float | None
    assd_mm: float | None
    missed: bool
    spurious: bool
    voxels_true: int
    voxels_predicted: int


def case_metrics(
    prediction: LabelMap, truth: LabelMap, classes: Sequence[str], spacing_mm: tuple[float, ...] | None
) -> dict[str, ClassMetrics]:
    """Metrics of every foreground class of one volume, in label order.

    prediction, truth: label maps of one shape at native resolution, values 0 .. len(classes).
    classes:           foreground names; label value = position + 1.
    spacing_mm:        voxel size along each axis, or None where it is unknown.
    Raises ValueError when shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction and truth differ in shape: {prediction.shape} and {truth.shape}")
    box = _bounding_box((prediction | truth) != 0)
    predicted_part, true_part = prediction[box], truth[box]
    return {
        name: _class_metrics(predicted_part == value, true_part == value, truth.shape, spacing_mm)
        for value, name in enumerate(classes, start=1)
    }


def _class_metrics(
    prediction: Mask, truth: Mask, native_shape: tuple[int, ...], spacing_mm: tuple[float, ...] | None
) -> ClassMetrics:
    """Masks may be cropped to any box that holds all of both; `native_shape` is that of the whole volume."""
    n_predicted, n_true, n_both = (int(np.count_nonzero(mask)) for mask in (prediction, truth, prediction & truth))
    n_union = n_predicted + n_true - n_both
    mm: tuple[float | None, float | None, float | None] = (None, None, None)
    if n_predicted and n_true:
        box = _bounding_box(prediction | truth)
        surfaces = _surface(prediction[box]), _surface(truth[box])
        voxel = _surface_metrics(*surfaces, None)
        if spacing_mm is not None and len(set(spacing_mm)) == 1:
            mm = (voxel[0] * spacing_mm[0], voxel[1] * spacing_mm[0], voxel[2] * spacing_mm[0])
        elif spacing_mm is not None:
            mm = _surface_metrics(*surfaces, np.array(spacing_mm))
    else:  # 0 if both are empty, else the diagonal of the native volume
        voxel = (math.hypot(*native_shape) if n_union else 0.0,) * 3
        if spacing_mm is not None:
            mm = (math.hypot(*map(operator.mul, native_shape, spacing_mm)) if n_union else 0.0,) * 3
    return ClassMetrics(
        2.0 * n_both / (n_predicted + n_true) if n_union else 1.0,
        n_both / n_union if n_union else 1.0,
        *voxel,
        *mm,
        missed=n_true > 0 and n_predicted == 0,
        spurious=n_predicted > 0 and n_true == 0,
        voxels_true=n_true,
        voxels_predicted=n_predicted,
    )


def _surface_metrics(predicted: Mask, true: Mask, scale: Distances | None) -> Surface:
    """Surface metrics of two surfaces that both hold something, in voxels, or in the unit of `scale`."""
    to_truth, to_prediction = _distances(predicted, true, scale)
    pooled = np.concatenate((to_truth, to_prediction))
    return float(np.percentile(pooled, 95)), float(to_truth.mean()), float(pooled.mean())


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box that holds all of `mask`; an empty box if there is nothing."""
    boxes = ndimage.find_objects(mask.view(np.uint8))
    return boxes[0] if boxes else (slice(0, 0),) * mask.ndim


def _surface(mask: Mask) -> Mask:
    """Voxels of `mask` with a face-neighbour outside it; a voxel at the edge of the array has one."""
    interior: Mask = ndimage.binary_erosion(mask)
    return mask & ~interior


def _distances(first: Mask, second: Mask, scale: Distances | None) -> tuple[Distances, Distances]:
    """From each voxel of `first` to the nearest of `second`, and back; voxels in both come first, as zeros.

    Trees of surface voxels cost by the size of the surfaces, not of the box around them, which a stray voxel far away
    can blow up to the whole volume; a distance transform pays for the box.
    """
    n_shared = int(np.count_nonzero(first & second))
    return (
        _nearest(_points(first & ~second, scale), _points(second, scale), n_shared),
        _nearest(_points(second & ~first, scale), _points(first, scale), n_shared),
    )


def _points(mask: Mask, scale: Distances | None) -> Distances:
    """Coordinates of the voxels of `mask`, [n, dimensions], times `scale` where given."""
    indices = np.unravel_index(np.flatnonzero(mask), mask.shape)
    points = np.stack(indices, axis=1).astype(np.float64)
    return points if scale is None else points * scale


def _nearest(points: Distances, targets: Distances, n_zeros: int) -> Distances:
    """`n_zeros` zeros, then the distance from each point to the nearest target."""
    distances = np.zeros(n_zeros + len(points))
    if len(points):
        # Voxels lie on a grid, so sliding-midpoint splits keep the tree even without the sort that balancing costs.
        tree = KDTree(targets, leafsize=32, balanced_tree=False, compact_nodes=False)
        distances[n_zeros:] = tree.query(points)[0]
    return distances
