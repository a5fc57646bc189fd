"""Generated cardiac short-axis phantoms with ACDC's classes: a whole benchmark without a scan.

Each patient has one anatomy and one appearance, drawn from a generator seeded by the patient's id: position, size and
orientation of the heart; brightness of blood, wall and surroundings; bias field, noise and blur. Thirteen patients of
sixteen have bodies around the heart as bright as blood, some with a rim like a left ventricle: what vessels, fat and
lung are to a network on ACDC. The first three patients have hardly any, so their labels alone do not say that such
bodies are background, and the unlabelled patients can. Two volumes: ED, and ES with a smaller pool and a thicker wall.
Equal ids give equal pixels on any machine, since grey levels are rounded as a scanner rounds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

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
BLANK = 0.15
"""Chance of each end of a volume to miss the heart."""
GAP = 2.0
"""Pixels between the heart and the bodies around it, at least."""
TRIES = 200
"""To place the bodies of one patient; where the heart leaves no room, there are fewer."""
PHASES = ("ED", "ES")
RV, MYO, LV = 1, 2, 3


class Phantom(Dataset):
    """24 training, 4 validation and 16 test patients; two volumes each of 5 to 7 slices."""

    name = "phantom"
    version = 3
    dimension = 2
    classes = ("background", "RV", "Myo", "LV")
    splits: ClassVar[Mapping[Split, tuple[str, ...]]] = {
        "train": tuple(f"phantom{number:03d}" for number in range(1, 25)),
        "val": tuple(f"phantom{number:03d}" for number in range(25, 29)),
        "test": tuple(f"phantom{number:03d}" for number in range(29, 45)),
    }

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
    """Brightness and image quality of one patient, in shares of the grey range; blur in pixels.

    blood: of the left ventricle; the right one's is darker.
    """

    blood: float
    right_blood: float
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
    anatomy, appearance = draw_anatomy(rng), draw_appearance(rng, is_crowded(patient))
    ed, es = (np.stack([label_slice(anatomy, each, z) for z in range(anatomy.slices)]) for each in PHASES)
    label = ed if phase == "ED" else es
    heart: NDArray[np.bool_] = np.maximum(ed, es).max(axis=0) > 0
    image = render(label, heart, appearance, _seeded(patient, "surroundings"), _seeded(patient, phase))
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


def is_crowded(patient: str) -> bool:
    """Whether there are bodies around the heart: not in numbers 1, 2, 3, 17, 18, 19, 33, ...

    Written down rather than drawn, so that the first three patients never show what most others do: a method that sees
    their labels alone has something to miss.
    """
    return int(patient[-3:]) % 16 not in {1, 2, 3}


def draw_anatomy(rng: Generator) -> Anatomy:
    """A heart somewhere near the middle, about 10 % of the image."""
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    scale = np.sqrt(height * width)
    return Anatomy(
        size=(height, width),
        slices=int(rng.integers(5, 8)),
        centre=(height * rng.uniform(0.38, 0.62), width * rng.uniform(0.40, 0.64)),
        drift=(rng.uniform(-3, 3), rng.uniform(-3, 3)),
        radius=scale * rng.uniform(0.112, 0.151),
        wall=scale * rng.uniform(0.039, 0.053),
        squash=rng.uniform(0.85, 1.15),
        turn=rng.uniform(0, np.pi),
        rv_angle=np.pi + rng.uniform(-0.9, 0.9),
        rv_reach=rng.uniform(0.75, 1.05),
        contraction=rng.uniform(0.6, 0.75),
        blank_base=bool(rng.random() < BLANK),
        blank_apex=bool(rng.random() < BLANK),
    )


def draw_appearance(rng: Generator, crowded: bool) -> Appearance:
    """Blood brighter than the wall, surroundings darker than either."""
    blood, gap = rng.uniform(0.85, 0.95), rng.uniform(0.42, 0.50)
    return Appearance(
        blood=blood,
        right_blood=blood - 0.4 * gap,
        wall=blood - gap,
        surroundings=rng.uniform(0.10, 0.25),
        texture=rng.uniform(0.03, 0.08),
        bias=rng.uniform(0.02, 0.06),
        noise=rng.uniform(0.02, 0.03),
        blur=rng.uniform(0.4, 0.8),
        bodies=int(rng.integers(8, 13)) if crowded else int(rng.integers(2)),
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
    label: NDArray[np.uint8], heart: NDArray[np.bool_], appearance: Appearance, body_rng: Generator, rng: Generator
) -> NDArray[np.float32]:
    """Grey values of a label volume [Z, H, W], scaled to [0, 1].

    heart: [H, W], where some slice of either phase shows it; body_rng: draws what both phases share; rng: draws what
    differs (noise).
    """
    tissue = appearance.surroundings + appearance.texture * smooth_noise(body_rng, label.shape, (0.5, 4.0, 4.0))
    for body, value in _bodies(body_rng, heart, appearance):
        tissue[:, body] = value
    for value, level in ((RV, appearance.right_blood), (MYO, appearance.wall), (LV, appearance.blood)):
        tissue[label == value] = level
    tissue += 0.25 * appearance.texture * smooth_noise(rng, label.shape, (0.0, 1.0, 1.0))  # trabeculae and the like
    papillary = (label == LV) & (smooth_noise(rng, label.shape, (0.5, 1.0, 1.0)) > 1.3)
    tissue[papillary] = appearance.wall
    bias = np.exp(appearance.bias * smooth_noise(body_rng, label.shape, (2.0, 20.0, 20.0)))
    blurred = gaussian_filter(tissue * bias, (0.0, appearance.blur, appearance.blur))
    return _quantised(blurred + appearance.noise * rng.standard_normal(label.shape))


def _bodies(
    rng: Generator, heart: NDArray[np.bool_], appearance: Appearance
) -> Iterator[tuple[NDArray[np.bool_], float]]:
    """Round bodies apart from the heart and their levels, back to front; three of ten with a rim like a ventricle's."""
    height, width = heart.shape
    placed = 0
    for _ in range(TRIES):
        if placed == appearance.bodies:
            return
        centre = (rng.uniform(0, height), rng.uniform(0, width))
        radius = rng.uniform(0.05, 0.09) * height
        distance = _elliptic((height, width), centre, rng.uniform(0.7, 1.4), rng.uniform(0, np.pi))
        if (heart & (distance < 1.4 * radius + GAP)).any():
            continue
        placed += 1
        if rng.random() < 0.3:
            yield distance < 1.4 * radius, appearance.wall + rng.uniform(-0.1, 0.1)
        yield distance < radius, rng.uniform(appearance.right_blood, appearance.blood)


def _quantised(image: Array) -> NDArray[np.float32]:
    low, high = image.min(), image.max()
    levels = np.rint((image - low) / (high - low) * GREY_LEVELS)
    scaled: NDArray[np.float32] = (levels / GREY_LEVELS).astype(np.float32)
    return scaled
