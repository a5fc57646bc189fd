"""Training in 2D: slices at training size, turned and flipped as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.augment import apply_maps, centred_grid, draw_maps
from harness.data.preprocess import Preprocessed
from harness.data.sampler import Sampler, TrainingSet, labelled_or_not


@dataclass(frozen=True)
class Slices(TrainingSet):
    """All training slices at training size.

    images: [N, C, H, W] float32; labels: [N, H, W] uint8.
    aspects: [N] float32, width over height of what a pixel covers of the native slice.
    """

    images: Tensor
    labels: Tensor
    aspects: Tensor
    labelled: Tensor
    unlabelled: Tensor

    @classmethod
    def load(cls, cases: Preprocessed, labelled: Sequence[str], device: torch.device) -> Slices:
        """All slices on the device, in the order of the cases; `labelled` names patients."""
        height, width = cases.preprocessing.size
        images = cases.images.view(-1, 1, height, width).to(device)
        labels = cases.labels.view(-1, height, width).to(device)
        slices = [case for case in cases.cases for _ in range(case.shape[0])]
        aspects = torch.tensor([case.shape[2] / width * height / case.shape[1] for case in slices], device=device)
        is_labelled = [case.patient in labelled for case in slices]
        return cls(images, labels, aspects, *labelled_or_not(is_labelled, device))

    @property
    def example(self) -> Tensor:
        """The first slice."""
        return self.images[:1]

    def sampler(self, seed: int, augment: bool) -> SliceSampler:
        """A new sampler of these slices."""
        return SliceSampler(self, seed, augment)


class SliceSampler(Sampler):
    """An index and a batched augmentation."""

    def __init__(self, data: Slices, seed: int, augment: bool) -> None:
        super().__init__(data, seed, augment)
        self._slices = data
        self._grid = centred_grid((data.images.shape[-2], data.images.shape[-1]), data.images.device)

    def _annotated(self, index: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = self._view(index, self._slices.labels[index].long())
        assert labels is not None
        return images, labels

    def _views(self, index: Tensor, count: int) -> tuple[Tensor, ...]:
        return tuple(self._view(index, None)[0] for _ in range(count))

    def _view(self, index: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        images = self._slices.images[index]
        if not self._augment:
            return images, labels
        size = (images.shape[-2], images.shape[-1])
        maps = draw_maps(self._slices.aspects[index], size, self._generator)
        return apply_maps(images, labels, maps, self._grid)
