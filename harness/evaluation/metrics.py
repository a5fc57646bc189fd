"""Overlap and surface metrics of whole label maps at native resolution, with a stated rule for empty masks.

Surfaces are the voxels of a mask that have a background face-neighbour; what lies outside the volume is background.
ASD is directed, prediction to truth, as the field prints it; ASSD is the mean and HD95 the 95th percentile of both
directed distance sets pooled. Where both masks hold something, these and the overlaps equal MedPy's.

NSD, the normalised surface Dice (Nikolov et al., 2018), is the share of both distance sets that is at most a
tolerance. It counts surface voxels, as MONAI does. The code of Nikolov et al. weighs surface elements between voxels
by their area instead, so its values differ by what a digital surface is coarser.

Both masks empty: Dice, Jaccard and NSD 1, distances 0. Exactly one empty: Dice, Jaccard and NSD 0, distances the
diagonal of the native volume, so that an undetected structure never scores better than one that was segmented badly.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from harness.api.dataset import LabelMap

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]

_ROUNDING = 1e-9
"""Relative slack of a tolerance: 13 x 0.2 mm less 3 x 0.2 mm is not exactly 2 mm."""


@dataclass(frozen=True)
class Tolerance:
    """Up to which distance two surfaces agree, in voxels (as unit cubes) and in mm."""

    voxels: float
    mm: float


class _Surface(NamedTuple):
    """What two surfaces amount to: distances in one unit of length, and the share of both within a tolerance."""

    hd95: float
    asd: float
    assd: float
    nsd: float


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of one class in one volume.

    dice, nsd:       in [0, 1]; nsd at a tolerance in voxels or in millimetres.
    hd95, asd, assd: in voxels, as if voxels were unit cubes, and in millimetres.
    missed:          the truth holds the class and the prediction does not.
    spurious:        the prediction holds the class and the truth does not.
    What is in millimetres is None where the spacing is unknown.
    """

    dice: float
    nsd_voxel: float
    nsd_mm: float | None
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
    prediction: LabelMap,
    truth: LabelMap,
    classes: Sequence[str],
    spacing_mm: tuple[float, ...] | None,
    tolerance: Tolerance,
) -> dict[str, ClassMetrics]:
    """Metrics of every foreground class of one volume, in label order.

    prediction, truth: label maps of one shape at native resolution; label value = position in `classes` + 1.
    spacing_mm:        voxel size along each axis, or None where it is unknown.
    Raises ValueError when shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction and truth differ in shape: {prediction.shape} and {truth.shape}")
    box = _bounding_box((prediction | truth) != 0)
    predicted_part, true_part = prediction[box], truth[box]
    return {
        name: _class_metrics(predicted_part == value, true_part == value, truth.shape, spacing_mm, tolerance)
        for value, name in enumerate(classes, start=1)
    }


def _class_metrics(
    prediction: Mask,
    truth: Mask,
    native_shape: tuple[int, ...],
    spacing_mm: tuple[float, ...] | None,
    tolerance: Tolerance,
) -> ClassMetrics:
    """Masks may be cropped to any box that holds all of both; `native_shape` is that of the whole volume."""
    n_predicted, n_true, n_both = (int(np.count_nonzero(mask)) for mask in (prediction, truth, prediction & truth))
    n_union = n_predicted + n_true - n_both
    mm = None
    if n_predicted and n_true:
        box = _bounding_box(prediction | truth)
        surfaces = _surface(prediction[box]), _surface(truth[box])
        distances = _distances(*surfaces, None)
        voxel = _surface_metrics(*distances, tolerance.voxels)
        if spacing_mm is not None and len(set(spacing_mm)) == 1:
            side = spacing_mm[0]
            within = _share_within(*distances, tolerance.mm / side)
            mm = _Surface(side * voxel.hd95, side * voxel.asd, side * voxel.assd, within)
        elif spacing_mm is not None:
            mm = _surface_metrics(*_distances(*surfaces, np.array(spacing_mm)), tolerance.mm)
    else:
        voxel = _without_surface(native_shape, empty=not n_union)
        if spacing_mm is not None:
            mm = _without_surface(tuple(map(operator.mul, native_shape, spacing_mm)), empty=not n_union)
    return ClassMetrics(
        dice=2.0 * n_both / (n_predicted + n_true) if n_union else 1.0,
        nsd_voxel=voxel.nsd,
        nsd_mm=mm and mm.nsd,
        hd95_voxel=voxel.hd95,
        asd_voxel=voxel.asd,
        assd_voxel=voxel.assd,
        hd95_mm=mm and mm.hd95,
        asd_mm=mm and mm.asd,
        assd_mm=mm and mm.assd,
        missed=n_true > 0 and n_predicted == 0,
        spurious=n_predicted > 0 and n_true == 0,
        voxels_true=n_true,
        voxels_predicted=n_predicted,
    )


def _surface_metrics(to_truth: Distances, to_prediction: Distances, tolerance: float) -> _Surface:
    pooled = np.concatenate((to_truth, to_prediction))
    within = _share_within(to_truth, to_prediction, tolerance)
    return _Surface(float(np.percentile(pooled, 95)), float(to_truth.mean()), float(pooled.mean()), within)


def _share_within(to_truth: Distances, to_prediction: Distances, tolerance: float) -> float:
    """The normalised surface Dice."""
    limit = tolerance * (1.0 + _ROUNDING)
    within = np.count_nonzero(to_truth <= limit) + np.count_nonzero(to_prediction <= limit)
    return within / (len(to_truth) + len(to_prediction))


def _without_surface(sides: tuple[float, ...], *, empty: bool) -> _Surface:
    """What two masks cost of which one is empty, or both; sides: of the native volume."""
    far = 0.0 if empty else math.hypot(*sides)
    return _Surface(far, far, far, 1.0 if empty else 0.0)


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """An empty box if there is nothing."""
    boxes = ndimage.find_objects(mask.view(np.uint8))
    return boxes[0] if boxes else (slice(0, 0),) * mask.ndim


def _surface(mask: Mask) -> Mask:
    """A voxel at the edge of the array has a neighbour outside."""
    interior: Mask = ndimage.binary_erosion(mask)
    return mask & ~interior


def _distances(first: Mask, second: Mask, scale: Distances | None) -> tuple[Distances, Distances]:
    """From each voxel of `first` to the nearest of `second`, and back; voxels in both come first, as zeros.

    Trees cost by the size of the surfaces, a distance transform by the box around them, which a stray voxel can blow
    up.
    """
    n_shared = int(np.count_nonzero(first & second))
    return (
        _nearest(_points(first & ~second, scale), _points(second, scale), n_shared),
        _nearest(_points(second & ~first, scale), _points(first, scale), n_shared),
    )


def _points(mask: Mask, scale: Distances | None) -> Distances:
    indices = np.unravel_index(np.flatnonzero(mask), mask.shape)
    points = np.stack(indices, axis=1).astype(np.float64)
    return points if scale is None else points * scale


def _nearest(points: Distances, targets: Distances, n_zeros: int) -> Distances:
    distances = np.zeros(n_zeros + len(points))
    if len(points):
        # Voxels lie on a grid, so sliding-midpoint splits keep the tree even without the sort that balancing costs.
        tree = KDTree(targets, leafsize=32, balanced_tree=False, compact_nodes=False)
        distances[n_zeros:] = tree.query(points)[0]
    return distances
