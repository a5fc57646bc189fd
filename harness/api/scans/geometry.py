"""Where the voxels of a file lie: what a header says of it, what it does not, and whether two files agree.

Geometry that nobody set is unknown. Programs write identity directions and voxels of size 1 where they know nothing,
and taking that for millimetres would make every distance of the dataset wrong in silence.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Spacing = tuple[float, float, float]
Steps = NDArray[np.float64]
"""[3, 3]: the step along each axis of the array, a row each, in the coordinates of a space."""

MM_BY_UNIT = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(
        ("um", "\u00b5m", "\u03bcm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"),
        1e-3,
    ),
}
SIZES_MM = (0.01, 100.0)
"""Sides of a voxel that a scan may have."""

ALIKE = 1e-3
"""Relative difference up to which two fields of one header, kept in single precision, say the same."""

SHIFT_VOXELS = 0.05
"""Distance between the corners of two grids, in sides of a voxel, up to which they are one grid."""

UNKNOWN = "voxel size unknown, millimetres stay empty: "
NOT_SET = f"{UNKNOWN}the header says 1 x 1 x 1 and no unit or directions, as of files whose geometry nobody set"


@dataclass(frozen=True, eq=False)
class Geometry:
    """What one header says.

    Attributes:
        path: The file.
        shape: Voxels along each axis of the array in the file.
        spacing_mm: Side of a voxel along the same axes. None where it is unknown.
        source: The field that `spacing_mm` comes from, and its unit.
        doubt: Why `spacing_mm` is unknown, or empty.
        unset: Whether nobody set the geometry: a dataset may then declare it.
        steps: In mm where `spacing_mm` is known. None where the header says no directions.
        origin: [3], of the first voxel, in the same space. None where the header does not say.
        space: "patient" (right, anterior, superior), or the file's own word for another one.
    """

    path: Path
    shape: tuple[int, ...]
    spacing_mm: Spacing | None
    source: str
    doubt: str
    unset: bool
    steps: Steps | None
    origin: NDArray[np.float64] | None
    space: str = "patient"


@dataclass(frozen=True, eq=False)
class Header:
    """The fields of a header that geometry is made of, as they stand; those of `Geometry` are not repeated here.

    Attributes:
        field: What the format calls the sizes, for messages.
        sizes: [3]. None: there are none but the lengths of `steps`.
        steps, origin: In the unit. None where there are none.
        unit: "" where there is none.
        stated: Whether sizes of 1 are meant: somebody gave the unit or the directions.
    """

    path: Path
    shape: tuple[int, ...]
    field: str
    sizes: NDArray[np.float64] | None
    steps: Steps | None
    origin: NDArray[np.float64] | None
    unit: str
    stated: bool
    space: str = "patient"


def geometry_of(header: Header) -> Geometry:
    """Judge a header: its voxel size in mm, or why it is unknown."""
    sizes = header.sizes
    if sizes is None:
        sizes = np.full(3, np.nan) if header.steps is None else np.linalg.norm(header.steps, axis=1)
    unset = not header.stated and _is_default(sizes, header.steps)
    per_unit = MM_BY_UNIT.get(header.unit.lower(), None if header.unit else 1.0)
    doubt = NOT_SET if unset else _doubt(header, sizes, per_unit)
    factor = 1.0 if per_unit is None else per_unit
    said = f"in {header.unit}" if header.unit else "no unit said, read as mm"
    return Geometry(
        path=header.path,
        shape=header.shape,
        spacing_mm=None if doubt else _in_mm(sizes, factor),
        source=f"{header.field}, {said}",
        doubt=doubt,
        unset=unset,
        steps=None if header.steps is None else header.steps * factor,
        origin=None if header.origin is None else header.origin * factor,
        space=header.space,
    )


def _doubt(header: Header, sizes: NDArray[np.float64], per_unit: float | None) -> str:
    """Why the sizes are no voxel size in mm; empty if they are one."""
    shown = " x ".join(f"{side:g}" for side in sizes)
    if np.isnan(sizes).all() and header.sizes is None:
        return f"{UNKNOWN}the header does not give it"
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        return f"{UNKNOWN}{header.field} says {shown}, which are not three positive lengths"
    if per_unit is None:
        return f"{UNKNOWN}{header.field} is in {header.unit!r}, which is no unit of length known here"
    if header.steps is not None:
        lengths = np.linalg.norm(header.steps, axis=1)
        if not np.allclose(lengths, sizes, rtol=ALIKE, atol=0):
            other = " x ".join(f"{side:g}" for side in lengths)
            return f"{UNKNOWN}the header contradicts itself, {header.field} {shown} against steps of {other}"
    if not all(SIZES_MM[0] <= side * per_unit <= SIZES_MM[1] for side in sizes):
        unit = header.unit or "mm, where no unit is said"
        return f"{UNKNOWN}{header.field} says {shown} {unit}, which is no voxel of a scan"
    return ""


def _is_default(sizes: NDArray[np.float64], steps: Steps | None) -> bool:
    """Whether sizes, and steps where there are some, are what programs write that know nothing; either hand."""
    if not np.allclose(sizes, 1, rtol=0, atol=1e-6):
        return False
    return steps is None or bool(np.isclose(np.abs(steps).max(axis=1), 1, rtol=0, atol=1e-6).all())


def _in_mm(sizes: NDArray[np.float64], factor: float) -> Spacing:
    x, y, z = (float(side) if factor == 1 else round(float(side) * factor, 9) for side in sizes)
    return x, y, z


def grid_problems(image: Geometry, label: Geometry) -> list[str]:
    """In what a label's grid differs from that of its image of the same shape, in one line; empty if in nothing.

    Only what both headers say is compared, in one space and in mm.
    """
    differences = [] if image.unset != label.unset else _differences(image, label)
    where = f"{label.path}: lies on another grid than {image.path}"
    return [f"{where}: {', '.join(differences)}; one of them is wrong"] if differences else []


def _differences(image: Geometry, label: Geometry) -> list[str]:
    if image.steps is None or label.steps is None or image.space != label.space:
        if image.spacing_mm is None or label.spacing_mm is None:
            return []
        alike = np.allclose(image.spacing_mm, label.spacing_mm, rtol=ALIKE, atol=0)
        return [] if alike else [_resized(label.spacing_mm, image.spacing_mm)]
    steps, other = image.steps, label.steps
    side = float(np.linalg.norm(steps, axis=1).min())
    corners = np.array(list(itertools.product((0, 1), repeat=3))) * np.maximum(np.array(image.shape) - 1, 1)
    apart = np.linalg.norm(corners @ (other - steps), axis=1).max()
    differences = [] if apart <= SHIFT_VOXELS * side else [_turned(steps, other)]
    if image.origin is not None and label.origin is not None:
        shift = label.origin - image.origin
        if np.linalg.norm(shift) > SHIFT_VOXELS * side:
            differences.append(f"its first voxel lies {_numbers(shift)} mm away")
    return differences


def _turned(steps: Steps, other: Steps) -> str:
    """What leads from the steps of an image to those of a label, in words."""
    sizes, other_sizes = (np.linalg.norm(each, axis=1) for each in (steps, other))
    if not np.allclose(sizes, other_sizes, rtol=ALIKE, atol=0):
        return _resized(other_sizes, sizes)
    cosines = (other * steps).sum(axis=1) / (sizes * other_sizes)
    if np.allclose(cosines, np.where(cosines < 0, -1, 1), atol=ALIKE):
        axes = [name for name, cosine in zip("xyz", cosines, strict=True) if cosine < 0]
        if axes:
            return f"mirrored along {' and '.join(axes)}"
    degrees = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return f"its axes are turned by {_numbers(degrees)} degrees"


def _resized(label: Spacing | NDArray[np.float64], image: Spacing | NDArray[np.float64]) -> str:
    return f"its voxels are {_numbers(label)} and not {_numbers(image)} mm"


def _numbers(values: Spacing | NDArray[np.float64]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"


def grid_warnings(image: Geometry, label: Geometry) -> tuple[str, ...]:
    """What should be known of a pair that is no error: unknown sizes, and what could not be compared."""
    if image.unset != label.unset:
        silent, other = (label, image) if label.unset else (image, label)
        compared = f"{silent.path.name} says nothing of its geometry, {other.path.name} does: sizes alone were compared"
    elif image.space != label.space:
        compared = f"space {image.space!r} of image and {label.space!r} of label cannot be compared, voxel sizes were"
    elif (image.steps is None) != (label.steps is None) or (image.origin is None) != (label.origin is None):
        compared = "only one of image and label says its directions and origin: what both say was compared"
    else:
        compared = ""
    doubt = label.doubt if label.doubt and not (image.doubt or label.unset) else ""
    lines = (image.doubt, doubt and f"{doubt} (label)", compared and f"label and image may not lie alike: {compared}")
    return tuple(line for line in lines if line)
