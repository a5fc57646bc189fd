"""What a dataset gives: cases, splits and its task; nothing about training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "val", "test"]
LabelMap = NDArray[np.uint8]
"""Classes by voxel, of a case's shape."""

SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Case:
    """One annotated volume at native resolution.

    id:           unique within the dataset, e.g. patient099_frame01.
    patient:      the unit of every split and of every bootstrap.
    phase:        "ED", "ES" or None; phase_source says how it is known.
    image:        float32, (Z, H, W) for slice data and (X, Y, Z) for volumes.
    label:        uint8, the shape of `image`, values 0 .. n_classes - 1.
    spacing_mm:   voxel size along the axes of `image`, or None where the source does not hold it.
    """

    id: str
    patient: str
    split: Split
    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float] | None = None
    phase: str | None = None
    phase_source: str | None = None


@dataclass(frozen=True)
class CaseSource:
    """A case that is known to exist but is not read yet, so that all problems can be reported at once.

    path:   where it comes from (the file or folder that an error message names); None for generated cases.
    load:   reads it; raises `DataError` with the file and the reason (one line per problem).
    slices: the file of each position along the first axis, where a volume is assembled from slices.
    """

    id: str
    patient: str
    split: Split
    path: Path | None
    load: Callable[[], Case]
    slices: tuple[Path, ...] = ()


class Dataset(ABC):
    """One dataset: a file in `benchmarks/` (or an entry point of an installed package).

    version: raise it when the cases or the splits change; it is part of every run's id.
    splits:  patients of each split in published order; the order decides labelled subset 0.
    layouts: names of the folder layouts that `recognise` knows, for messages; empty for generated data.
    layout_signs: what marks each layout, for messages.
    folder:  what people call the folder that holds it, in any case; None: as the dataset.
    track:   which of several ways its cases are cut; None where there is one way. Shown, not compared: datasets of
             different tracks have different names.
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

    @abstractmethod
    def recognise(self, root: Path) -> str | None:
        """Name of the layout found in `root`, None if it is not this dataset (or None always, if generated)."""

    @abstractmethod
    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        """Enumerate the cases of all splits without reading pixels.

        root is None for generated data. A listed case without a file, or any other flaw, is best a source whose
        `load` raises, so that it is reported together with all others; raise `DataError` here only where nothing
        can be enumerated.
        """


def read_split(path: Path) -> tuple[str, ...]:
    """Patients of a split list: one id a line, '#' starts a comment."""
    lines = (line.split("#", 1)[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)
