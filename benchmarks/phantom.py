"""Generated cardiac short-axis phantoms with ACDC's classes: a whole benchmark without a scan.

Each patient has one anatomy and one appearance, drawn from a generator seeded by the patient's id: position, size and
orientation of the heart; brightness of blood, wall and surroundings, the wall darker than blood in three patients of
five and brighter in two; bias field, noise and blur; bright and dark bodies around the heart, some round with a rim
like a left ventricle. Two volumes: ED, and ES with a smaller pool and a thicker wall. Equal ids give equal pixels on
any machine, since grey levels are rounded as a scanner rounds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.generated.noise import Array, seeded_by, smooth_noise
from harness.api.dataset import Case, CaseSource, Dataset, Split

SIZES = ((72, 64), (80, 72), (96, 80))
SPACING_MM = (10.0, 1.5, 1.5)
GREY_LEVELS = 1023
SEED = 1
PHASES = ("ED", "ES")
RV, MYO, LV = 1, 2, 3


class Phantom(Dataset):
    """24 training, 4 validation and 16 test patients; two volumes each of 5 to 7 slices."""

    name: ClassVar[str] = "phantom"
    version: ClassVar[int] = 2
    dimension: ClassVar[Literal[2, 3]] = 2
    classes: ClassVar[tuple[str, ...]] = ("background", "RV", "Myo", "LV")
    splits: ClassVar[Mapping[Split, tuple[str, ...]]] = {
        "train": tuple(f"phantom{number:03d}" for number in range(1, 25)),
        "val": tuple(f"phantom{number:03d}" for number in range(25, 29)),
        "test": tuple(f"phantom{number:03d}" for number in range(29, 45)),
    }

    def recognise(self, root: Path) -> str | None:
        """None: nothing is read."""
        return None

    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        """One source per patient and phase."""
        return [
            CaseSource(f"{patient}_{phase}", patient, split, None, partial(generate, patient, split, phase))
            for split, patients in self.splits.items()
            for patient in patients
            for phase in PHASES
        ]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Shape of one heart; lengths in pixels at the middle slice of ED.

    squash: axis ratio of the ventricle; turn: its direction in radians.
    rv_angle: where the right ventricle lies, in radians; rv_reach: its size relative to the left one.
    blank_base, blank_apex: whether the first and the last slice miss the heart.
    """

    size: tuple[int, int]
    slices: int
    centre: tuple[float, float]
    drift: tuple[float, float]
    radius: float
    wall: float
    squash: float
    turn: float
    rv_angle: float
    rv_reach: float
    contraction: float
    blank_base: bool
    blank_apex: bool


@dataclass(frozen=True, slots=True)
class Appearance:
    """Brightness and image quality of one patient, in shares of the grey range; blur in pixels."""

    blood: float
    wall: float
    surroundings: float
    texture: float
    bias: float
    noise: float
    blur: float
    bodies: int


def generate(patient: str, split: Split, phase: str) -> Case:
    """One volume: image in [0, 1] and label, [Z, H, W]."""
    rng = _seeded(patient)
    anatomy, appearance = draw_anatomy(rng), draw_appearance(rng, is_inverted(patient))
    label = np.stack([label_slice(anatomy, phase, z) for z in range(anatomy.slices)])
    image = render(label, appearance, _seeded(patient, "surroundings"), _seeded(patient, phase))
    return Case(
        id=f"{patient}_{phase}",
        patient=patient,
        split=split,
        image=image,
        label=label,
        spacing_mm=SPACING_MM,
        phase=phase,
        phase_source="generated",
    )


def _seeded(*names: str) -> Generator:
    return seeded_by("phantom", str(SEED), *names)


def is_inverted(patient: str) -> bool:
    """Whether the wall is brighter than blood: in two patients of each five, numbers 4, 5, 9, 10, ...

    Written down rather than drawn, so that the first three patients never show what many others do: a method that sees
    their labels alone has something to miss.
    """
    return int(patient[-3:]) % 5 in {4, 0}


def draw_anatomy(rng: Generator) -> Anatomy:
    """A heart somewhere near the middle, about 5 % of the image."""
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    scale = np.sqrt(height * width)
    return Anatomy(
        size=(height, width),
        slices=int(rng.integers(5, 8)),
        centre=(height * rng.uniform(0.38, 0.62), width * rng.uniform(0.40, 0.64)),
        drift=(rng.uniform(-3, 3), rng.uniform(-3, 3)),
        radius=scale * rng.uniform(0.080, 0.108),
        wall=scale * rng.uniform(0.028, 0.038),
        squash=rng.uniform(0.85, 1.15),
        turn=rng.uniform(0, np.pi),
        rv_angle=np.pi + rng.uniform(-0.9, 0.9),
        rv_reach=rng.uniform(0.75, 1.05),
        contraction=rng.uniform(0.6, 0.75),
        blank_base=bool(rng.random() < 0.25),
        blank_apex=bool(rng.random() < 0.25),
    )


def draw_appearance(rng: Generator, inverted: bool) -> Appearance:
    """Blood brighter than the wall unless inverted; surroundings darker than either, as a rule."""
    bright, gap = rng.uniform(0.7, 1.0), rng.uniform(0.3, 0.5)
    blood, wall = (bright - gap, bright) if inverted else (bright, bright - gap)
    return Appearance(
        blood=blood,
        wall=wall,
        surroundings=rng.uniform(0.1, 0.3),
        texture=rng.uniform(0.03, 0.08),
        bias=rng.uniform(0.05, 0.2),
        noise=rng.uniform(0.02, 0.05),
        blur=rng.uniform(0.4, 0.8),
        bodies=int(rng.integers(2, 5)),
    )


def label_slice(anatomy: Anatomy, phase: str, z: int) -> NDArray[np.uint8]:
    """Ring, pool and crescent at slice z (0 is the base), [H, W]."""
    label = np.zeros(anatomy.size, np.uint8)
    last = anatomy.slices - 1
    if (z == 0 and anatomy.blank_base) or (z == last and anatomy.blank_apex):
        return label
    depth = z / last
    taper = np.sqrt(max(1.0 - (0.85 * depth) ** 2, 0.0))  # a ventricle narrows towards the apex like half an ellipsoid
    inner = anatomy.radius * taper * (anatomy.contraction if phase == "ES" else 1.0)
    outer = inner + anatomy.wall * (1.35 if phase == "ES" else 1.0)
    y0 = anatomy.centre[0] + anatomy.drift[0] * depth
    x0 = anatomy.centre[1] + anatomy.drift[1] * depth
    distance = _elliptic(anatomy.size, (y0, x0), anatomy.squash, anatomy.turn)
    reach = outer * anatomy.rv_reach
    away = 0.75 * outer + 0.2 * reach
    rv_centre = (y0 + away * np.sin(anatomy.rv_angle), x0 + away * np.cos(anatomy.rv_angle))
    crescent = _elliptic(anatomy.size, rv_centre, 1.25, anatomy.rv_angle + np.pi / 2) < reach
    label[crescent & (depth < 0.9)] = RV
    label[distance < outer] = MYO
    label[distance < inner] = LV
    return label


def _elliptic(size: tuple[int, int], centre: tuple[float, float], squash: float, turn: float) -> Array:
    """Distance from `centre`, stretched by `squash` along the direction `turn` and shrunk across it."""
    y, x = np.ogrid[: size[0], : size[1]]
    dy, dx = y - centre[0], x - centre[1]
    along, across = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    distance: Array = np.hypot(along / squash, across * squash)
    return distance


def render(
    label: NDArray[np.uint8], validation: Appearance, body_rng: Generator, rng: Generator
) -> NDArray[np.float32]:
    """Grey values of a label volume [Z, H, W], scaled to [0, 1].

    body_rng: draws what both phases share; rng: draws what differs (noise).
    """
    tissue = validation.surroundings + validation.texture * smooth_noise(body_rng, label.shape, (0.5, 4.0, 4.0))
    for body, value in _bodies(body_rng, label.shape, validation):
        tissue[:, body] = value
    for value, level in ((RV, validation.blood), (MYO, validation.wall), (LV, validation.blood)):
        tissue[label == value] = level
    tissue += 0.25 * validation.texture * smooth_noise(rng, label.shape, (0.0, 1.0, 1.0))  # trabeculae and the like
    tissue[(label == LV) & (smooth_noise(rng, label.shape, (0.5, 1.0, 1.0)) > 1.3)] = (
        validation.wall
    )  # papillary muscles
    bias = np.exp(validation.bias * smooth_noise(body_rng, label.shape, (2.0, 20.0, 20.0)))
    blurred = gaussian_filter(tissue * bias, (0.0, validation.blur, validation.blur))
    return _quantised(blurred + validation.noise * rng.standard_normal(label.shape))


def _bodies(
    rng: Generator, shape: tuple[int, ...], validation: Appearance
) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Round bodies and their levels, back to front: fat, lung, vessels; half of them with a rim like a ventricle's."""
    height, width = shape[1:]
    for _ in range(validation.bodies):
        centre = (rng.uniform(0, height), rng.uniform(0, width))
        radius = rng.uniform(0.05, 0.14) * height
        distance = _elliptic((height, width), centre, rng.uniform(0.7, 1.4), rng.uniform(0, np.pi))
        if rng.random() < 0.3:
            yield distance < radius * 1.4, validation.wall + rng.uniform(-0.1, 0.1)
            yield distance < radius, validation.blood + rng.uniform(-0.1, 0.1)
        else:
            yield distance < radius, rng.uniform(0.0, 1.0)


def _quantised(image: Array) -> NDArray[np.float32]:
    low, high = image.min(), image.max()
    levels = np.rint((image - low) / (high - low) * GREY_LEVELS)
    scaled: NDArray[np.float32] = (levels / GREY_LEVELS).astype(np.float32)
    return scaled
