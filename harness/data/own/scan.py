"""A scan with the axes of all scans of its dataset, whatever order its files have them in."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from harness.api.errors import DataError
from harness.api.scans.formats import read_scan
from harness.api.scans.geometry import Geometry, Spacing, grid_problems, grid_warnings
from harness.api.scans.values import require_real, whole_labels

DECLARED = "--spacing-mm, since the header says nothing"


@dataclass(frozen=True)
class Scan:
    """One case as read, not normalised.

    image:    [C, X, Y, Z] float32.
    label:    [X, Y, Z] uint8; None where there is none.
    spacing:  mm along X, Y, Z; None where it is unknown.
    source:   where that is from.
    turn:     what turned the file's axes, nibabel's orientation [3, 2], so that X, Y and Z run most nearly to the
              right, anterior and superior; None: they lie as in the file, whose header does not say.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    spacing: Spacing | None
    source: str
    turn: NDArray[np.float64] | None
    warnings: tuple[str, ...]

    @property
    def oriented(self) -> bool:
        """Whether it is known how its axes lie in the patient."""
        return self.turn is not None


def read_case(images: Sequence[Path], label: Path | None, declared: Spacing | None = None) -> Scan:
    """Read all files of a case, an image for each channel.

    declared: voxel size along the axes of files whose geometry nobody set. Raises one `DataError` for all files that
    cannot be read, or do not fit the first one.
    """
    problems: list[str] = []
    voxels: list[NDArray[Any]] = []
    geometries: list[Geometry] = []
    for path, what in [*((path, "image") for path in images), *([(label, "label")] if label else [])]:
        try:
            array, geometry = read_scan(path)
            require_real(array, path, what)
            voxels.append(whole_labels(array, path) if what == "label" else np.asarray(array, np.float32))
            geometries.append(geometry)
        except DataError as error:
            problems += str(error).splitlines()
    for array, geometry in zip(voxels[1:], geometries[1:], strict=True):
        if array.shape != voxels[0].shape:
            shapes = f"shape {array.shape} (x, y, z), that of {geometries[0].path} is {voxels[0].shape}"
            problems.append(f"{geometry.path}: {shapes}; one of them is wrong")
        else:
            problems += grid_problems(geometries[0], geometry)
    if problems:
        raise DataError("\n".join(problems))
    geometry, warnings = (
        geometries[0],
        dict.fromkeys(line for other in geometries[1:] or geometries for line in grid_warnings(geometries[0], other)),
    )
    if geometry.unset and declared is not None:
        geometry = replace(geometry, spacing_mm=declared, source=DECLARED, doubt="")
        warnings = {line: None for line in warnings if line != geometries[0].doubt}
    turn = _turn(geometry)
    turned = [array if turn is None else apply_orientation(array, turn) for array in voxels]
    spacing = geometry.spacing_mm
    if turn is not None and spacing is not None:
        sides = dict(zip(turn[:, 0].astype(int), spacing, strict=True))
        spacing = sides[0], sides[1], sides[2]
    return Scan(
        image=np.stack(turned[: len(images)]),
        label=np.ascontiguousarray(turned[-1], np.uint8) if label else None,
        spacing=spacing,
        source=geometry.source if spacing else "",
        turn=turn,
        warnings=tuple(warnings),
    )


def _turn(geometry: Geometry) -> NDArray[np.float64] | None:
    """nibabel's orientation, [3, 2], or None where the header does not say how axes lie in the patient."""
    steps = geometry.steps
    if steps is None or geometry.unset or geometry.space != "patient" or not np.isfinite(steps).all():
        return None
    affine = np.eye(4)
    affine[:3, :3] = steps.T
    turn = np.asarray(io_orientation(affine), np.float64)
    return turn if np.isfinite(turn).all() else None
