"""Volumes that no scan is: blank, turned, in another range of values, without a class that all others have.

What a volume is by itself refuses it. What sets it apart from the other volumes of its dataset is warned of. The limits
are measured: all 200 volumes of ACDC and all 100 of LA pass, the closest ones named beside each limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.api.dataset import Case, Dataset
from harness.data.naming import some

USUAL = 0.9
"""Share of the other volumes that must agree before one that does not is odd."""

SPREAD = 6.0
"""Factor from the usual standard deviation; ACDC 1/4.4 to 1.4, LA 1/3 to 1.8."""

FOREGROUND = (1 / 20, 6.0)
"""Factors from the usual share of classes; ACDC 0.37 to 2.1, LA 0.39 to 2.2."""

FEW_LEVELS = 8
"""Grey levels in a sample of some 4,000 voxels: so few has a label map. ACDC and LA have 30 and more."""

UNIT_TOLERANCE, UNIT_LEAST = 1e-3, 0.5
AXES = ("first", "second", "third")


@dataclass(frozen=True)
class Look:
    """What one volume looks like.

    low, high, spread: of its grey values, which are finite; spread is their standard deviation.
    levels:    different grey values in a sample.
    shares:    of all voxels, by class.
    """

    case: Case
    low: float
    high: float
    spread: float
    levels: int
    shares: tuple[float, ...]

    @property
    def shortest(self) -> int | None:
        """The one axis with the fewest samples; None where several have."""
        shape = self.case.image.shape
        return shape.index(min(shape)) if shape.count(min(shape)) == 1 else None

    @property
    def foreground(self) -> float:
        """Share of all voxels that are of a class."""
        return 1 - self.shares[0]


def look_at(case: Case, n_classes: int) -> Look:
    """Look at a volume whose types, shapes and label values are right."""
    image = case.image
    sample = image.ravel()[:: (image.size // 4096) | 1]
    counts = [np.count_nonzero(case.label == number) for number in range(n_classes)]  # bincount takes ten times as long
    return Look(
        case=case,
        low=float(image.min()),
        high=float(image.max()),
        spread=float(sample.std(dtype=np.float64)),
        levels=len(np.unique(sample)),
        shares=tuple(count / image.size for count in counts),
    )


def own_problems(look: Look, dataset: Dataset) -> list[str]:
    """What makes a volume impossible by itself, without the name of its file."""
    return [text for check in (_blank, _turned, _out_of_range) if (text := check(look, dataset))]


def _blank(look: Look, dataset: Dataset) -> str:
    return f"every voxel is {look.low:g}; replace the file" if look.low == look.high else ""


def _turned(look: Look, dataset: Dataset) -> str:
    axis, shape = dataset.slice_axis, look.case.image.shape
    if axis is None or shape[axis] == min(shape):
        return ""
    return (
        f"axes look turned: of the shape {shape} the {AXES[axis]} side, along which its slices lie, is not the "
        "shortest; store the axes in the layout's order"
    )


def _out_of_range(look: Look, dataset: Dataset) -> str:
    if dataset.scaling != "unit" or (look.low >= -UNIT_TOLERANCE and look.high <= 1 + UNIT_TOLERANCE):
        return ""
    return f"grey values from {look.low:g} to {look.high:g}; scale them to 0..1, as in all files of this layout"


def oddities(looks: Sequence[Look], dataset: Dataset) -> list[str]:
    """What sets volumes apart from what their dataset usually is, a line for each thing with the volumes' ids."""
    odd: dict[str, list[str]] = defaultdict(list)
    checks: tuple[Callable[[Sequence[Look], Dataset], Iterator[tuple[Look, str]]], ...] = (
        _alone,
        _beside_others,
        _without_a_class,
        _of_one_patient,
    )
    for check in checks:
        for look, text in check(looks, dataset):
            odd[text].append(look.case.id)
    return [f"{some(ids)}: {text}" for text, ids in odd.items()] + _nowhere(looks, dataset)


def _alone(looks: Sequence[Look], dataset: Dataset) -> Iterator[tuple[Look, str]]:
    for look in looks:
        if look.shares[0] == 0:
            yield look, "every voxel of the label is of a class, none is background"
        if look.levels < min(FEW_LEVELS, look.case.image.size / 8):
            yield look, "hardly any grey levels in the image, as in a label map or a blank image"
        if dataset.scaling == "unit" and look.high - look.low < UNIT_LEAST:
            yield look, f"grey values span less than {UNIT_LEAST:g} of 0..1, to which this layout scales each volume"
        if dataset.scaling == "standard" and look.low >= 0:
            yield look, "no grey value below 0, though this layout scales each volume to mean 0 and deviation 1"


def _beside_others(looks: Sequence[Look], dataset: Dataset) -> Iterator[tuple[Look, str]]:
    if len(looks) < 3:
        return
    spread, share = (float(np.median([getattr(look, name) for look in looks])) for name in ("spread", "foreground"))
    axes = [look.shortest for look in looks]
    usual_axis = max(set(axes), key=axes.count)
    if axes.count(usual_axis) < USUAL * len(axes):
        usual_axis = None
    signed = sum(look.low < 0 for look in looks)
    for look in looks:
        if not spread / SPREAD <= look.spread <= spread * SPREAD:
            yield look, f"another range of grey values than usual here (standard deviation {spread:.3g})"
        if (look.low < 0) != (2 * signed > len(looks)) and max(signed, len(looks) - signed) >= USUAL * len(looks):
            yield look, f"{'' if look.low < 0 else 'no '}grey values below 0, unlike most volumes here"
        if look.foreground and not share * FOREGROUND[0] <= look.foreground <= share * FOREGROUND[1]:
            yield look, f"far more or far less of the volume labelled than usual here ({share:.1%})"
        if usual_axis is not None and look.shortest not in (usual_axis, None):
            yield look, f"axes perhaps turned: the {AXES[usual_axis]} side is the shortest in most volumes here"


def _without_a_class(looks: Sequence[Look], dataset: Dataset) -> Iterator[tuple[Look, str]]:
    for look in looks:
        if not any(look.shares[1:]):
            yield look, "no class at all in the label"
    for number, name in list(enumerate(dataset.classes))[1:]:
        holding = sum(look.shares[number] > 0 for look in looks)
        if holding >= USUAL * len(looks):
            for look in looks:
                if not look.shares[number] and any(look.shares[1:]):
                    yield look, f"no {name} in the label, which {holding} of {len(looks)} volumes hold"


def _of_one_patient(looks: Sequence[Look], dataset: Dataset) -> Iterator[tuple[Look, str]]:
    first: dict[str, tuple[int, ...]] = {}
    for look in looks:
        shape = first.setdefault(look.case.patient, look.case.image.shape)
        if look.case.image.shape != shape:
            yield look, "another shape than the other volume of its patient: turned, or slices missing"


def _nowhere(looks: Sequence[Look], dataset: Dataset) -> list[str]:
    """Classes that no volume holds."""
    absent = [name for number, name in enumerate(dataset.classes) if not any(look.shares[number] for look in looks)]
    return [f"{', '.join(absent)}: in no label of the dataset"] if absent and looks else []
