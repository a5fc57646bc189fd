"""Training in 3D: patches of whole volumes, which lie end to end on the device, so that a batch is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data.patches import draw_places, draw_turns, no_turns, patch_indices
from harness.data.preprocess import Preprocessed
from harness.data.sampler import Sampler, TrainingSet, labelled_or_not

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Volumes(TrainingSet):
    """All training volumes, of any shapes.

    images: [V] float32, labels: [V] uint8; the voxels of one volume after the other, each in C order.
    offsets: [N] int64, where each volume starts; shapes: [N, 3] int64.
    patch: (X, Y, Z); no volume is smaller, however it is turned.
    """

    images: Tensor
    labels: Tensor
    offsets: Tensor
    shapes: Tensor
    labelled: Tensor
    unlabelled: Tensor
    patch: Shape

    @classmethod
    def load(cls, cases: Preprocessed, labelled: Sequence[str], device: torch.device) -> Volumes:
        """All cases on the device, in their order; `labelled` names patients."""
        shapes = torch.tensor(cases.shapes)
        offsets = shapes.prod(dim=1).cumsum(0) - shapes.prod(dim=1)
        return cls(
            cases.images.to(device),
            cases.labels.to(device),
            offsets.to(device),
            shapes.to(device),
            *labelled_or_not([case.patient in labelled for case in cases.cases], device),
            patch=cases.preprocessing.size,
        )

    @property
    def example(self) -> Tensor:
        """The first corner of the first volume."""
        volume = self.images[: int(self.shapes[0].prod())].view(self.shapes[0].tolist())
        return volume[tuple(slice(side) for side in self.patch)][None, None]

    def sampler(self, seed: int, augment: bool) -> VolumeSampler:
        """A new sampler of these volumes."""
        return VolumeSampler(self, seed, augment)


class VolumeSampler(Sampler):
    """Each image of a batch is a patch of one volume, at a random place. Views of it are turned each in its own way."""

    def __init__(self, data: Volumes, seed: int, augment: bool) -> None:
        super().__init__(data, seed, augment)
        self._volumes = data

    def _annotated(self, index: Tensor) -> tuple[Tensor, Tensor]:
        voxels = self._voxels(index, self._places(index))
        return self._volumes.images[voxels][:, None], self._volumes.labels[voxels].long()

    def _views(self, index: Tensor, count: int) -> tuple[Tensor, ...]:
        places = self._places(index)
        return tuple(self._volumes.images[self._voxels(index, places)][:, None] for _ in range(count))

    def _places(self, index: Tensor) -> Tensor:
        return draw_places(len(index), self._generator, index.device)

    def _voxels(self, index: Tensor, places: Tensor) -> Tensor:
        """[n, X, Y, Z]: where the patches' voxels lie, once they are turned."""
        count, device = len(index), index.device
        turns = draw_turns(count, self._generator, device) if self._augment else no_turns(count, device)
        volumes = self._volumes
        return patch_indices(volumes.offsets[index], volumes.shapes[index], places, turns, volumes.patch)
