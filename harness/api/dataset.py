"""What a dataset gives: cases, splits and its task; nothing about training."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import UsageError

Split = Literal["train", "val", "test"]
LabelMap = NDArray[np.uint8]
"""Classes by voxel, of a case's shape."""

SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Case:
    """One annotated volume at native resolution.

    Attributes:
        id: Unique within the dataset, e.g. patient099_frame01.
        patient: What every split and every bootstrap keeps together.
        split: "train", "val" or "test".
        image: float32, (Z, H, W) for slice data and (X, Y, Z) for volumes; of several channels, these in front of it.
        label: uint8, the shape of a channel, values 0 .. n_classes - 1.
        spacing_mm: Voxel size in millimetres along the axes of `image`. None where the source does not hold it.
        phase: "ED", "ES" or None.
        phase_source: How the phase is known.
        spacing_source: How the voxel size is known: the header's field and unit, or who declares it.
        warnings: What a reader of any table should know of this case and what is no error, a line each, without its id.
        annotated: False where nobody has labelled it, in the training split alone: it is never among the labelled ones,
            nothing is compared with its label, which is blank.
        grid: The shape at which it is trained on and predicted, where that is not its own (volumes of several voxel
            sizes). Metrics are native.
    """

    id: str
    patient: str
    split: Split
    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float] | None = None
    phase: str | None = None
    phase_source: str | None = None
    spacing_source: str | None = None
    warnings: tuple[str, ...] = ()
    annotated: bool = True
    grid: tuple[int, int, int] | None = None

    @property
    def channels(self) -> int:
        """Number of channels of the image."""
        return self.image.shape[0] if self.image.ndim == 4 else 1

    @property
    def first_channel(self) -> NDArray[np.float32]:
        """Of the image, the first channel, of the label's shape: what checks and pictures look at."""
        return self.image[0] if self.image.ndim == 4 else self.image


@dataclass(frozen=True)
class CaseSource:
    """A case that is known to exist but is not read yet, so that all problems can be reported at once.

    Attributes:
        id: Of the case.
        patient: Of the case.
        split: Of the case.
        path: The file or folder that an error message names. None for generated cases.
        load: Reads the case. Raises `DataError` with the file and the reason, one line per problem.
        slices: The file of each position along the first axis, where a volume is assembled from slices.
    """

    id: str
    patient: str
    split: Split
    path: Path | None
    load: Callable[[], Case]
    slices: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class NewScan:
    """A scan without annotation, prepared as its dataset's cases are.

    Attributes:
        image: As of a `Case`.
        spacing_mm: As of a `Case`.
        restore: Brings a label map of the shape of a channel back to the axes and the extent of the file, [X, Y, Z].
        warnings: What a reader of the label map should know, a line each.
        grid: As of a `Case`.
    """

    image: NDArray[np.float32]
    spacing_mm: tuple[float, float, float] | None
    restore: Callable[[LabelMap], LabelMap]
    warnings: tuple[str, ...] = ()
    grid: tuple[int, int, int] | None = None


class Dataset(ABC):
    """One dataset: a file in `benchmarks/`, or an entry point of an installed package.

    Required members: `name`, `version`, `dimension`, `classes`, `splits`, `sources`; with layouts `recognise`.

    Attributes:
        name: As suites write it.
        version: Raise it when the cases or the splits change. It is part of every run's id.
        dimension: 2 for slices, 3 for volumes.
        channels: Of an image.
        classes: Names in label order, background first.
        splits: Patients of each split in published order. The order decides labelled subset 0.
        layouts: Names of the folder layouts that `recognise` knows, for messages. Empty for generated data.
        layout_signs: What marks each layout, for messages.
        folder: What people call the folder that holds it, in any case. None: as the dataset.
        track: Which of several ways its cases are cut. None where there is one way. It is shown and not compared:
            datasets of different tracks have different names.
        slice_axis: Axis of an image along which slices lie, if every volume has fewest samples along it: a volume that
            has not is turned, and refused. None: not known, or not so.
        scaling: "unit": each image is scaled to 0..1, and other values are refused; "standard": to mean 0 and standard
            deviation 1, before any crop. None: as scanned.
        unlabelled: Training patients of whom no case is annotated. They are the last of the training split.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    dimension: ClassVar[Literal[2, 3]]
    channels: ClassVar[int] = 1
    classes: ClassVar[tuple[str, ...]]
    splits: ClassVar[Mapping[Split, tuple[str, ...]]]
    layouts: ClassVar[tuple[str, ...]] = ()
    layout_signs: ClassVar[Mapping[str, str]] = {}
    folder: ClassVar[str | None] = None
    track: ClassVar[str | None] = None
    slice_axis: ClassVar[Literal[0, 1, 2] | None] = None
    scaling: ClassVar[Literal["unit", "standard"] | None] = None
    unlabelled: ClassVar[tuple[str, ...]] = ()

    def recognise(self, root: Path) -> str | None:
        """Recognise the dataset by its files.

        Args:
            root: A folder that the user names.

        Returns:
            Name of the layout in it. None if it is not this dataset, and always for generated data.
        """
        return None

    @abstractmethod
    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        """Enumerate the cases of all splits without reading pixels.

        A listed case without a file, or any other flaw, is best a source whose `load` raises, so that it is reported
        together with all others.

        Args:
            root: The folder that `recognise` accepted. None for generated data.

        Returns:
            A source for each case.

        Raises:
            DataError: Nothing can be enumerated.
        """

    def new_scan(self, voxels: NDArray[Any], spacing_mm: tuple[float, float, float] | None, layout: str) -> NewScan:
        """Prepare a scan that is none of the dataset's as its own are, for the prediction by a finished run.

        Args:
            voxels: As they lie in the file, [X, Y, Z]; of several channels, [C, X, Y, Z].
            spacing_mm: Along the axes of the file. None where the file does not say.
            layout: That the run's training scans were read from.

        Returns:
            The image as a network of the dataset gets it, and the way back.

        Raises:
            UsageError: It is not known how the dataset's own scans were prepared.
            DataError: This scan cannot be prepared so.
        """
        raise UsageError(f"{self.name}: new scans cannot be predicted, since it does not say how it prepares its own")


@dataclass(frozen=True, slots=True)
class Task:
    """A segmentation task at training resolution.

    Attributes:
        name: Of the dataset.
        dimension: 2 for slices, 3 for patches.
        channels: Of an image.
        classes: Names in label order, background first.
        size: Pixels of a training image, (H, W) or (X, Y, Z).
    """

    name: str
    dimension: Literal[2, 3]
    channels: int
    classes: tuple[str, ...]
    size: tuple[int, ...]

    @property
    def n_classes(self) -> int:
        """Number of classes with background."""
        return len(self.classes)

    @property
    def foreground(self) -> tuple[str, ...]:
        """Class names without background, in label order (label value = position + 1)."""
        return self.classes[1:]


def read_split(path: Path) -> tuple[str, ...]:
    """Read the patients of a split list.

    Args:
        path: A text file with one id a line. '#' starts a comment.

    Returns:
        Ids in the order of the file.
    """
    lines = (line.split("#", 1)[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    return tuple(line for line in lines if line)
