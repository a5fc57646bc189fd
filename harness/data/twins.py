"""One scan under two names: rescaled, inverted, mirrored, turned, cropped, blurred, or with slices left out.

Volumes are compared on a grid of 12 x 12 x 12 means, slices on one of 12 x 12, labels voxel by voxel. The limits are
measured: on the grid, scans of different patients correlate up to 0.75 (ACDC, 200 volumes; its slices up to 0.86) and
up to 0.90 (LA, which holds patients who were scanned twice); a scan beside itself with noise as strong as its contrast,
with gamma 0.7 or 1.5, shifted by 3 pixels or at half the resolution 0.97 to 1. Two volumes of one shape that are alike
on the grid are then compared voxel by voxel, where noise tells scans apart that only resemble each other.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.api.dataset import Case

GRID = 12
VOLUMES_ALIKE, SLICES_ALIKE = 0.95, 0.97
"""Correlation on the grid from which two volumes, or two slices, are one."""

ALWAYS_ALIKE = 0.998
"""From here on in any dataset. Below, where all scans lie alike (brains on an atlas), a pair must stand out."""

STANDS_OUT = 0.2
"""A pair stands out whose distance 1 - r is below this share of what is usual between a scan and its nearest."""

UNLIKE = 0.5
"""Correlation below which two images that share a label are two scans."""

SAME_PIXELS = 0.96
"""Correlation voxel by voxel from which two volumes or slices of one shape are certainly one."""

CHUNK = 1024

Vectors = NDArray[np.float32]
Turn = tuple[tuple[int, int, int], tuple[int, int, int]]

TURNS: tuple[Turn, ...] = tuple(
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))  # type: ignore[arg-type]
)
"""All 48 ways to put a box's axes; the first one leaves it alone."""


@dataclass(frozen=True)
class Twin:
    """Two cases that are one scan. likeness: to choose the closest; certain: enough to refuse them."""

    first: Case
    second: Case
    why: str
    likeness: float
    certain: bool = True


def find_twins(cases: Sequence[Case], dimension: int) -> list[Twin]:
    """Pairs of cases that hold one scan; slices are compared by themselves in 2D alone."""
    if len(cases) < 2:
        return []
    grids = np.stack([grid_of(case.image) for case in cases])
    patients = np.unique([case.patient for case in cases], return_inverse=True)[1]
    twins = [*_same_labels(cases), *_same_volumes(cases, grids, patients)]
    if dimension == 2:
        twins += _same_slices(cases, patients)
    return twins


def grid_of(image: NDArray[np.float32], axes: Sequence[int] = (0, 1, 2)) -> Vectors:
    """Means over equal parts of some axes, then mean 0 and length 1."""
    grid: NDArray[Any] = image
    for axis in reversed(axes):
        parts: NDArray[Any] = _means(grid, axis)
        if image.shape[axis] < 4 * GRID:  # the parts differ in length, and a mirrored image must have a mirrored grid
            parts = (parts + np.flip(_means(np.flip(grid, axis), axis), axis)) / 2
        grid = np.asarray(parts, np.float32)
    return _standard(grid, axes)


def _means(image: NDArray[Any], axis: int) -> Vectors:
    length = image.shape[axis]
    edges = np.arange(GRID) * length // GRID
    widths = np.maximum(np.diff(edges, append=length), 1).astype(np.float32)
    return np.asarray(np.add.reduceat(image, edges, axis) / np.expand_dims(widths, [a for a in range(3) if a != axis]))


def _standard(grid: Vectors, axes: Sequence[int]) -> Vectors:
    centred = grid - grid.mean(axis=tuple(axes), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=tuple(axes), keepdims=True))
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-6), np.float32)


def turned(box: NDArray[Any], turn: Turn) -> NDArray[Any]:
    order, (x, y, z) = turn
    return box.transpose(order)[::x, ::y, ::z]


def _same_volumes(cases: Sequence[Case], grids: Vectors, patients: NDArray[np.intp]) -> Iterator[Twin]:
    limit = _limit(_nearest(grids.reshape(len(grids), -1), patients), VOLUMES_ALIKE)
    for i, j, turn, r in _alike_turned(grids, limit):
        if patients[i] != patients[j]:
            how = "" if turn == TURNS[0] else " once one of them is mirrored or turned"
            certain = _same_pixels(cases[i].image, turned(cases[j].image, turn))
            yield Twin(cases[i], cases[j], f"images alike (r = {r:.3f} on a coarse grid){how}", abs(r), certain)


def turned_frames(cases: Sequence[Case]) -> Iterator[tuple[Case, Case]]:
    """Volumes of one patient that are alike when one of them is mirrored or turned, and are not as they lie.

    On ACDC the correlation from ED to ES is at least 0.86, and mirrored or turned lower by at least 0.2.
    """
    by_patient: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_patient[case.patient].append(case)
    for group in by_patient.values():
        for first, second in itertools.pairwise(group):
            grid, other = grid_of(first.image), grid_of(second.image)
            rs = [float((grid * turned(other, turn)).sum()) for turn in TURNS]
            if max(rs) > max(rs[0] + 0.1, 0.8):
                yield first, second


def _alike_turned(grids: Vectors, limit: float) -> Iterator[tuple[int, int, Turn, float]]:
    """Pairs (i < j) whose correlation, or its negative, reaches the limit when j is turned; each with its best turn.

    A coarser grid goes first: two grids that are alike are alike when they are coarser.
    """
    count = len(grids)
    coarse = _standard(grids.reshape(count, *(GRID // 2, 2) * 3).mean(axis=(2, 4, 6)), (1, 2, 3))
    flat = coarse.reshape(count, -1)
    best: dict[tuple[int, int], tuple[float, float, Turn]] = {}
    for turn in TURNS:
        other = np.stack([turned(grid, turn) for grid in coarse]).reshape(count, -1)
        for start in range(0, count, CHUNK):
            near = np.abs(flat[start : start + CHUNK] @ other.T) >= min(limit, VOLUMES_ALIKE) - 0.05
            for i, j in np.argwhere(np.triu(near, start + 1)):
                r = float((grids[start + i] * turned(grids[j], turn)).sum())
                if abs(r) >= limit and abs(r) > best.get((start + i, j), (0.0, 0.0, turn))[0]:
                    best[start + i, j] = abs(r), r, turn
    for (i, j), (_, r, turn) in sorted(best.items()):
        yield i, j, turn, r


def _same_slices(cases: Sequence[Case], patients: NDArray[np.intp]) -> Iterator[Twin]:
    planes = np.concatenate([grid_of(case.image, (1, 2)).reshape(len(case.image), -1) for case in cases])
    owner = np.repeat(np.arange(len(cases)), [len(case.image) for case in cases])
    place = np.concatenate([np.arange(len(case.image)) for case in cases])
    limit = _limit(_nearest(planes, patients[owner]), SLICES_ALIKE)
    pairs: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for start in range(0, len(planes), CHUNK):
        near = np.abs(planes[start : start + CHUNK] @ planes.T) >= limit
        for i, j in np.argwhere(np.triu(near, start + 1)):
            pairs[owner[start + i], owner[j]].append((place[start + i], place[j]))
    for (a, b), slices in pairs.items():
        if patients[a] != patients[b]:
            first, second = cases[a], cases[b]
            shared = len({z for z, _ in slices})
            certain = any(_same_pixels(first.image[z], second.image[w]) for z, w in slices)
            yield Twin(first, second, f"{shared} of {len(first.image)} slices alike", 0.0, certain)


def _same_pixels(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first.shape == second.shape and abs(_correlation(first, second)) >= SAME_PIXELS


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    if min(first.std(), second.std()) == 0:
        return float(np.array_equal(first, second))
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _nearest(vectors: Vectors, patients: NDArray[np.intp]) -> NDArray[np.float32]:
    """Distance 1 - |r| from each vector to the nearest one of another patient."""
    nearest = []
    for start in range(0, len(vectors), CHUNK):
        rs = np.abs(vectors[start : start + CHUNK] @ vectors.T)
        rs[patients[start : start + CHUNK, None] == patients] = 0
        nearest.append(1 - rs.max(axis=1))
    return np.concatenate(nearest)


def _limit(nearest: NDArray[np.float32], alike: float) -> float:
    """The correlation from which a pair is one, in a dataset whose scans have these nearest neighbours."""
    usual = float(np.quantile(nearest, 0.75))
    return min(ALWAYS_ALIKE, max(alike, 1 - STANDS_OUT * usual))


def _same_labels(cases: Sequence[Case]) -> Iterator[Twin]:
    """Cases whose labels are one: up to a crop, mirrored or turned, unless the label is blank or a mere box."""
    alike: dict[tuple[Any, ...], list[tuple[Case, NDArray[np.uint8], tuple[slice, ...]]]] = defaultdict(list)
    for case in cases:
        boxes = ndimage.find_objects((case.label != 0).view(np.uint8))
        if not boxes:  # blank
            continue
        box, label = boxes[0], case.label[boxes[0]]
        counts = np.bincount(label.ravel(), minlength=2)
        if np.count_nonzero(counts) == 1:
            continue
        key = (*sorted(label.shape), counts.tobytes())
        for other, known, place in alike[key]:
            turn = next((turn for turn in TURNS if np.array_equal(known, turned(label, turn))), None)
            if turn is not None:
                r = _correlation(other.image[place], turned(case.image[box], turn))
                images = f"correlated {r:.3f} there" if abs(r) >= UNLIKE else "not: one lies beside another's label"
                yield Twin(other, case, f"labels identical, images {images}", 2.0)
                break
        else:
            alike[key].append((case, label, box))
