"""What trains lives on the device, and batches are drawn from it: slices and volumes differ in the drawing alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.api.method import Batch, BatchPlan
from harness.data.stream import Stream
from harness.records.schema import Augmentation


class TrainingSet(ABC):
    """All training images on the device.

    labelled, unlabelled: [n] int64 on the device, numbers of the images of labelled and of the other training patients.
    """

    labelled: Tensor
    unlabelled: Tensor

    @property
    @abstractmethod
    def example(self) -> Tensor:
        """Some image as a network gets it, [1, C, *size]."""

    @abstractmethod
    def sampler(self, seed: int, augmentation: Augmentation) -> Sampler:
        """A new sampler of this set."""


def scan_statistics(scans: Iterable[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of each scan, [n, C] float32 each, made on the CPU."""
    pairs = [[torch.stack(torch.std_mean(channel, correction=0)) for channel in scan] for scan in scans]
    deviations, means = torch.stack([torch.stack(scan) for scan in pairs]).unbind(2)
    return means, deviations


def labelled_or_not(labelled: Sequence[bool], device: torch.device) -> tuple[Tensor, Tensor]:
    """Numbers of the images that are labelled, and of those that are not."""
    flags = torch.tensor(labelled, dtype=torch.bool)
    return flags.nonzero()[:, 0].to(device), (~flags).nonzero()[:, 0].to(device)


class Sampler(ABC):
    """Draws augmented batches. Its generator is the only randomness of the data, and it is in the checkpoint."""

    def __init__(self, data: TrainingSet, seed: int, augmentation: Augmentation) -> None:
        self.data = data
        self.augmentation: Augmentation = augmentation
        self._generator = torch.Generator(device=data.labelled.device).manual_seed(seed)
        self._labelled = Stream("labelled", data.labelled, self._generator)
        self._unlabelled = Stream("unlabelled", data.unlabelled, self._generator)

    def next(self, plan: BatchPlan) -> Batch:
        images, labels = self._annotated(self._labelled.next(plan.labelled))
        if plan.unlabelled == 0:
            return Batch(images, labels)
        return Batch(images, labels, self._views(self._unlabelled.next(plan.unlabelled), plan.views))

    @abstractmethod
    def _annotated(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented images [n, C, *size] and labels [n, *size] int64 of the images with these numbers."""

    @abstractmethod
    def _views(self, index: Tensor, count: int) -> tuple[Tensor, ...]:
        """So many augmented views of the images with these numbers, each with a geometry of its own."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self._generator.get_state(),
            "labelled": self._labelled.state_dict(),
            "unlabelled": self._unlabelled.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"].cpu())
        self._labelled.load_state_dict(state["labelled"])
        self._unlabelled.load_state_dict(state["unlabelled"])
