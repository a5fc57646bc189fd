"""The task of a network: the part of a dataset that decides its shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
