"""Generated left atria in late gadolinium enhanced MRI: LA's task, a third of its size, without a scan.

Each patient has one anatomy and one appearance, drawn from a generator seeded by the patient's id: a bent chamber with
four pulmonary veins, which the annotation follows for a few voxels and the image further; as bright as the atrium, a
ventricle in front of it, behind a wall that is open in the middle, and the aorta; dark lungs; bias field, noise and
blur. The wall is dark in three patients of five and enhanced, brighter than blood, in two. Equal ids give equal voxels
on any machine, since grey levels are rounded as a scanner rounds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.generated.noise import Array, seeded_by, smooth_noise
from benchmarks.generated.solids import Point, ellipsoid, tube
from harness.api.dataset import Case, CaseSource, Dataset, Split

if TYPE_CHECKING:
    from pathlib import Path

SPACING_MM = (1.875, 1.875, 1.875)
GREY_LEVELS = 1023
SEED = 1
ATRIUM = 1


class Phantom3D(Dataset):
    """20 training, 4 validation and 6 test patients; a volume each of 48 to 64 x 44 to 52 x 24 to 28 voxels."""

    name = "phantom3d"
    version = 1
    dimension = 3
    classes = ("background", "LA")
    splits: ClassVar[Mapping[Split, tuple[str, ...]]] = {
        "train": tuple(f"atrium{number:03d}" for number in range(1, 21)),
        "val": tuple(f"atrium{number:03d}" for number in range(21, 25)),
        "test": tuple(f"atrium{number:03d}" for number in range(25, 31)),
    }

    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        """One source per patient."""
        return [
            CaseSource(patient, patient, split, None, partial(generate, patient, split))
            for split, patients in self.splits.items()
            for patient in patients
        ]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Shape of one heart; lengths in voxels.

    radii:  of the chamber along x, y and z.
    veins:  where each leaves the chamber's middle, as a vector to the end of the vessel in the image.
    marked: the share of a vein's way outside the chamber that the annotation follows.
    """

    shape: tuple[int, int, int]
    centre: Point
    radii: Point
    bend: float
    veins: tuple[Point, ...]
    vein_radius: float
    marked: float
    ventricle: Point
    aorta: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Appearance:
    """Brightness and image quality of one patient, in shares of the grey range; blur in voxels."""

    blood: float
    wall: float
    tissue: float
    lung: float
    texture: float
    bias: float
    noise: float
    blur: float


def generate(patient: str, split: Split) -> Case:
    """One volume [X, Y, Z]: image with mean 0 and standard deviation 1, label 1 in the atrium."""
    rng = _seeded(patient)
    anatomy, appearance = draw_anatomy(rng), draw_appearance(rng, is_enhanced(patient))
    chamber = chamber_of(anatomy, _seeded(patient, "shape"))
    label = chamber | veins_of(anatomy, anatomy.marked)
    image = render(chamber | veins_of(anatomy, 1.0), anatomy, appearance, _seeded(patient, "image"))
    return Case(patient, patient, split, image, label.astype(np.uint8), SPACING_MM)


def is_enhanced(patient: str) -> bool:
    """Whether the wall is brighter than blood: in two patients of each five, numbers 4, 5, 9, 10, ...

    Written down rather than drawn, so that the first three patients never show what many others do.
    """
    return int(patient[-3:]) % 5 in {4, 0}


def _seeded(*names: str) -> Generator:
    return seeded_by("phantom3d", str(SEED), *names)


def draw_anatomy(rng: Generator) -> Anatomy:
    """An atrium somewhere near the middle, about 8 % of the volume."""
    shape = (int(rng.integers(48, 65)), int(rng.integers(44, 53)), int(rng.integers(24, 29)))
    x, y, z = shape
    radii = (x * rng.uniform(0.22, 0.28), y * rng.uniform(0.19, 0.24), z * rng.uniform(0.28, 0.33))
    veins = tuple(
        (
            side * (radii[0] + rng.uniform(6, 10)),
            -radii[1] * rng.uniform(0.3, 0.8),
            height * radii[2] * rng.uniform(0.3, 0.6),
        )
        for side in (-1, 1)
        for height in (-1, 1)
    )
    return Anatomy(
        shape=shape,
        centre=(x * rng.uniform(0.45, 0.55), y * rng.uniform(0.42, 0.52), z * rng.uniform(0.46, 0.54)),
        radii=radii,
        bend=rng.uniform(0.10, 0.15),
        veins=veins,
        vein_radius=rng.uniform(1.8, 2.6),
        marked=rng.uniform(0.80, 0.90),
        ventricle=(x * rng.uniform(0.18, 0.26), y * rng.uniform(0.20, 0.28), z * rng.uniform(0.35, 0.5)),
        aorta=(rng.uniform(-0.5, 0.5), rng.uniform(3.0, 4.5)),
    )


def draw_appearance(rng: Generator, enhanced: bool) -> Appearance:
    """Blood brighter than tissue; the wall between lung and tissue, or brighter than blood."""
    blood = rng.uniform(0.55, 0.75)
    return Appearance(
        blood=blood,
        wall=blood + rng.uniform(0.10, 0.25) if enhanced else blood - rng.uniform(0.25, 0.40),
        tissue=blood - rng.uniform(0.15, 0.30),
        lung=rng.uniform(0.02, 0.12),
        texture=rng.uniform(0.05, 0.10),
        bias=rng.uniform(0.05, 0.20),
        noise=rng.uniform(0.03, 0.07),
        blur=rng.uniform(0.4, 0.8),
    )


def chamber_of(anatomy: Anatomy, rng: Generator) -> NDArray[np.bool_]:
    """The atrium without its veins: an ellipsoid whose surface swings in and out."""
    distance = ellipsoid(anatomy.shape, anatomy.centre, anatomy.radii)
    inside: NDArray[np.bool_] = distance + anatomy.bend * smooth_noise(rng, anatomy.shape, (6.0, 6.0, 4.0)) < 1
    return inside


def veins_of(anatomy: Anatomy, share: float) -> NDArray[np.bool_]:
    """Four tubes from the chamber's middle, followed for a share of their length."""
    veins = np.zeros(anatomy.shape, np.bool_)
    for vein in anatomy.veins:
        start, way = np.array(anatomy.centre), np.array(vein)
        end = start + share * way
        veins |= tube(anatomy.shape, tuple(start + 0.5 * way), tuple(end)) < anatomy.vein_radius
    return veins


def render(blood: NDArray[np.bool_], anatomy: Anatomy, validation: Appearance, rng: Generator) -> NDArray[np.float32]:
    """Grey values around an atrium with its veins, [X, Y, Z]."""
    shape, (cx, cy, cz) = anatomy.shape, anatomy.centre
    grey = validation.tissue + validation.texture * smooth_noise(rng, shape, (3.0, 3.0, 2.0))
    for side in (-1, 1):
        lung = ellipsoid(shape, (cx + side * 0.52 * shape[0], cy, cz), (0.26 * shape[0], 0.45 * shape[1], shape[2]))
        grey[lung < 1] = validation.lung
    ahead = cy + anatomy.radii[1] + 0.8 * anatomy.ventricle[1]
    ventricle = ellipsoid(shape, (cx, ahead, cz - 2), anatomy.ventricle) < 1
    off, radius = anatomy.aorta
    aorta_x, aorta_y = cx + off * anatomy.radii[0], cy - anatomy.radii[1] - radius - 2
    aorta = tube(shape, (aorta_x, aorta_y, 0.0), (aorta_x, aorta_y, float(shape[2]))) < radius
    grey[ventricle | aorta] = validation.blood
    rim = (gaussian_filter(blood.astype(np.float64), 1.0) > 0.12) & ~blood
    valve = tube(shape, (cx, cy, cz), (cx, ahead, cz - 2)) < 3.0
    grey[rim & ~valve] = validation.wall
    grey[blood | (rim & valve)] = validation.blood
    grey += 0.25 * validation.texture * smooth_noise(rng, shape, (1.0, 1.0, 1.0))
    bias = np.exp(validation.bias * smooth_noise(rng, shape, (16.0, 16.0, 8.0)))
    blurred = gaussian_filter(grey * bias, validation.blur)
    return _normalised(blurred + validation.noise * rng.standard_normal(shape))


def _normalised(image: Array) -> NDArray[np.float32]:
    """Rounded to grey levels, then mean 0 and standard deviation 1 from sums of integers, which are exact."""
    low, high = image.min(), image.max()
    levels = np.rint((image - low) / (high - low) * GREY_LEVELS).astype(np.int64)
    n, total, squares = levels.size, int(levels.sum()), int((levels**2).sum())
    deviation = sqrt((n * squares - total**2) / n**2)
    scaled: NDArray[np.float32] = ((levels - total / n) / deviation).astype(np.float32)
    return scaled
