"""An image and its label in two files, read together so that what is wrong with both is said at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.api.dataset import LabelMap
from harness.api.errors import DataError
from harness.api.scans.geometry import Geometry
from harness.api.scans.values import require_real, whole_labels

Read = Callable[[Path], tuple[NDArray[Any], Geometry]]


@dataclass(frozen=True, eq=False)
class Pair:
    """Arrays in the order of their files' axes, and where they lie."""

    image: NDArray[Any]
    image_geometry: Geometry
    label: LabelMap
    label_geometry: Geometry


def read_pair(read: Read, image_path: Path, label_path: Path) -> Pair:
    """Read both files. Raises `DataError` with a line for each that is wrong."""
    problems: list[str] = []
    parts: list[tuple[NDArray[Any], Geometry]] = []
    for path, what in ((image_path, "image"), (label_path, "label")):
        try:
            voxels, geometry = read(path)
            require_real(voxels, path, what)
            parts.append((whole_labels(voxels, path) if what == "label" else voxels, geometry))
        except DataError as error:
            problems += str(error).splitlines()
    if problems:
        raise DataError("\n".join(problems))
    (image, image_geometry), (label, label_geometry) = parts
    return Pair(image, image_geometry, label, label_geometry)
