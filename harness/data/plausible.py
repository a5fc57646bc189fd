"""Volumes that no scan is: blank, turned, in another range of values, without a class that all others have.

What a volume is by itself refuses it. What sets it apart from the others of its dataset is warned of. The limits are
measured on all volumes of ACDC and LA, the closest ones named beside each limit.
"""

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
class VolumeStatistics:
    """One volume, measured.

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
        shape = self.case.label.shape
        return shape.index(min(shape)) if shape.count(min(shape)) == 1 else None

    @property
    def foreground(self) -> float:
        """Share of all voxels that are of a class."""
        return 1 - self.shares[0]


def measure_volume(case: Case, n_classes: int) -> VolumeStatistics:
    """Measure a volume whose types, shapes and label values are right."""
    image = case.first_channel
    sample = image.ravel()[:: (image.size // 4096) | 1]
    counts = [np.count_nonzero(case.label == number) for number in range(n_classes)]  # bincount takes ten times as long
    return VolumeStatistics(
        case=case,
        low=float(image.min()),
        high=float(image.max()),
        spread=float(sample.std(dtype=np.float64)),
        levels=len(np.unique(sample)),
        shares=tuple(count / image.size for count in counts),
    )


def own_problems(volume: VolumeStatistics, dataset: Dataset) -> list[str]:
    """What makes a volume impossible by itself, without the name of its file."""
    return [text for check in (_blank, _turned, _out_of_range) if (text := check(volume, dataset))]


def _blank(volume: VolumeStatistics, dataset: Dataset) -> str:
    return f"every voxel is {volume.low:g}; replace the file" if volume.low == volume.high else ""


def _turned(volume: VolumeStatistics, dataset: Dataset) -> str:
    axis, shape = dataset.slice_axis, volume.case.label.shape
    if axis is None or shape[axis] == min(shape):
        return ""
    return (
        f"axes look turned: of the shape {shape} the {AXES[axis]} side, along which its slices lie, is not the "
        "shortest; store the axes in the layout's order"
    )


def _out_of_range(volume: VolumeStatistics, dataset: Dataset) -> str:
    if dataset.scaling != "unit" or (volume.low >= -UNIT_TOLERANCE and volume.high <= 1 + UNIT_TOLERANCE):
        return ""
    return f"grey values from {volume.low:g} to {volume.high:g}; scale them to 0..1, as in all files of this layout"


def oddities(volumes: Sequence[VolumeStatistics], dataset: Dataset) -> list[str]:
    """What sets volumes apart from the others of their dataset, a line for each thing with their ids."""
    odd: dict[str, list[str]] = defaultdict(list)
    checks: tuple[Callable[[Sequence[VolumeStatistics], Dataset], Iterator[tuple[VolumeStatistics, str]]], ...] = (
        _alone,
        _beside_others,
        _without_a_class,
        _of_one_patient,
    )
    for check in checks:
        for volume, text in check(volumes, dataset):
            odd[text].append(volume.case.id)
    return [f"{some(ids)}: {text}" for text, ids in odd.items()] + _nowhere(volumes, dataset)


def _alone(volumes: Sequence[VolumeStatistics], dataset: Dataset) -> Iterator[tuple[VolumeStatistics, str]]:
    for volume in volumes:
        if volume.shares[0] == 0:
            yield volume, "every voxel of the label is of a class, none is background"
        if volume.levels < min(FEW_LEVELS, volume.case.label.size / 8):
            yield volume, "hardly any grey levels in the image, as in a label map or a blank image"
        if dataset.scaling == "unit" and volume.high - volume.low < UNIT_LEAST:
            yield volume, f"grey values span less than {UNIT_LEAST:g} of 0..1, to which this layout scales each volume"
        if dataset.scaling == "standard" and volume.low >= 0:
            yield volume, "no grey value below 0, though this layout scales each volume to mean 0 and deviation 1"


def _beside_others(volumes: Sequence[VolumeStatistics], dataset: Dataset) -> Iterator[tuple[VolumeStatistics, str]]:
    if len(volumes) < 3:
        return
    spread = float(np.median([volume.spread for volume in volumes]))
    share = float(np.median([volume.foreground for volume in volumes if volume.case.annotated]))
    axes = [volume.shortest for volume in volumes]
    usual_axis = max(set(axes), key=axes.count)
    if axes.count(usual_axis) < USUAL * len(axes):
        usual_axis = None
    signed = sum(volume.low < 0 for volume in volumes)
    for volume in volumes:
        if not spread / SPREAD <= volume.spread <= spread * SPREAD:
            yield volume, f"another range of grey values than usual here (standard deviation {spread:.3g})"
        like_most = (volume.low < 0) == (2 * signed > len(volumes))
        if not like_most and max(signed, len(volumes) - signed) >= USUAL * len(volumes):
            yield volume, f"{'' if volume.low < 0 else 'no '}grey values below 0, unlike most volumes here"
        if volume.foreground and not share * FOREGROUND[0] <= volume.foreground <= share * FOREGROUND[1]:
            yield volume, f"far more or far less of the volume labelled than usual here ({share:.1%})"
        if usual_axis is not None and volume.shortest not in (usual_axis, None):
            yield volume, f"axes perhaps turned: the {AXES[usual_axis]} side is the shortest in most volumes here"


def _without_a_class(volumes: Sequence[VolumeStatistics], dataset: Dataset) -> Iterator[tuple[VolumeStatistics, str]]:
    volumes = [volume for volume in volumes if volume.case.annotated]
    for volume in volumes:
        if not any(volume.shares[1:]):
            yield volume, "no class at all in the label"
    for number, name in list(enumerate(dataset.classes))[1:]:
        holding = sum(volume.shares[number] > 0 for volume in volumes)
        if holding >= USUAL * len(volumes):
            for volume in volumes:
                if not volume.shares[number] and any(volume.shares[1:]):
                    yield volume, f"no {name} in the label, which {holding} of {len(volumes)} volumes hold"


def _of_one_patient(volumes: Sequence[VolumeStatistics], dataset: Dataset) -> Iterator[tuple[VolumeStatistics, str]]:
    first: dict[str, tuple[int, ...]] = {}
    for volume in volumes:
        shape = first.setdefault(volume.case.patient, volume.case.label.shape)
        if volume.case.label.shape != shape:
            yield volume, "another shape than the other volume of its patient: turned, or slices missing"


def _nowhere(volumes: Sequence[VolumeStatistics], dataset: Dataset) -> list[str]:
    absent = [
        name for number, name in enumerate(dataset.classes) if not any(volume.shares[number] for volume in volumes)
    ]
    return [f"{', '.join(absent)}: in no label of the dataset"] if absent and volumes else []
