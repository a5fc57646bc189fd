"""Training in 2D: slices at training size, turned and flipped as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.api.dataset import Case
from harness.data.augment import apply_maps, centred_grid, draw_maps, identity_maps
from harness.data.resize import resize_images, resize_labels
from harness.data.sampler import Sampler, TrainingSet
from harness.records.schema import Preprocessing


@dataclass(frozen=True)
class Slices(TrainingSet):
    """All training slices at training size.

    images: [N, C, H, W] float32; labels: [N, H, W] uint8.
    """

    images: Tensor
    labels: Tensor
    labelled: Tensor
    unlabelled: Tensor

    @classmethod
    def load(
        cls, cases: Sequence[Case], labelled: Sequence[str], preprocessing: Preprocessing, device: torch.device
    ) -> Slices:
        """Resize every slice on the device, in the order of the cases; `labelled` names patients."""
        size = (preprocessing.size[0], preprocessing.size[1])
        images, labels, is_labelled = [], [], []
        chosen = set(labelled)
        for case in cases:
            native = torch.from_numpy(case.image).to(device)[:, None]
            images.append(resize_images(native, size, preprocessing.resize))
            labels.append(resize_labels(torch.from_numpy(case.label).to(device), size))
            is_labelled += [case.patient in chosen] * len(case.image)
        flags = torch.tensor(is_labelled, device=device)
        return cls(torch.cat(images), torch.cat(labels), flags.nonzero()[:, 0], (~flags).nonzero()[:, 0])

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
        device = images.device
        maps = draw_maps(len(index), self._generator, device) if self._augment else identity_maps(len(index), device)
        return apply_maps(images, labels, maps, self._grid)
