"""Training in 3D: patches of whole volumes, which lie end to end on the device, so that a batch is one gather."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data import nnunet
from harness.data.interpolate import Points, centred_points
from harness.data.patches import draw_places, draw_turns, no_turns, patch_indices
from harness.data.preprocess import Preprocessed
from harness.data.sampler import Sampler, TrainingSet, labelled_or_not, scan_statistics
from harness.records.schema import Augmentation

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Volumes(TrainingSet):
    """All training volumes, of any shapes.

    images: [C V] float32, labels: [V] uint8; the voxels of one volume after the other, [C, X, Y, Z] each in C order.
    offsets: [N] int64, where each volume's labels start; shapes: [N, 3] int64.
    means, deviations: [N, C] float32.
    patch: (X, Y, Z); no volume is smaller, however it is turned.
    """

    images: Tensor
    labels: Tensor
    offsets: Tensor
    shapes: Tensor
    means: Tensor
    deviations: Tensor
    labelled: Tensor
    unlabelled: Tensor
    patch: Shape

    @classmethod
    def load(cls, cases: Preprocessed, labelled: Sequence[str], device: torch.device) -> Volumes:
        """All cases on the device, in their order; `labelled` names patients."""
        shapes = torch.tensor(cases.shapes)
        offsets = shapes.prod(dim=1).cumsum(0) - shapes.prod(dim=1)
        sides = [cases.channels * math.prod(shape) for shape in cases.shapes]
        means, deviations = scan_statistics(volume.chunk(cases.channels) for volume in cases.images.split(sides))
        return cls(
            cases.images.to(device),
            cases.labels.to(device),
            offsets.to(device),
            shapes.to(device),
            means.to(device),
            deviations.to(device),
            *labelled_or_not([case.annotated and case.patient in labelled for case in cases.cases], device),
            patch=cases.preprocessing.size,
        )

    @property
    def channels(self) -> int:
        return len(self.images) // len(self.labels)

    @property
    def example(self) -> Tensor:
        """The first corner of the first volume."""
        first = self.images[: self.channels * int(self.shapes[0].prod())]
        volume = first.view(1, self.channels, *self.shapes[0].tolist())
        return volume[..., : self.patch[0], : self.patch[1], : self.patch[2]]

    def channel_starts(self, index: Tensor) -> Tensor:
        """[n, C]: where the channels of volumes start."""
        channel = torch.arange(self.channels, device=index.device)
        return self.offsets[index, None] * self.channels + channel * self.shapes[index].prod(dim=1, keepdim=True)

    def sampler(self, seed: int, augmentation: Augmentation) -> VolumeSampler:
        return VolumeSampler(self, seed, augmentation)


class VolumeSampler(Sampler):
    """Each image of a batch is a patch of one volume, at a random place. Views of it are turned each in its own way."""

    def __init__(self, data: Volumes, seed: int, augmentation: Augmentation) -> None:
        super().__init__(data, seed, augmentation)
        self._volumes = data
        self._grid = centred_points(data.patch, data.images.device)

    def _annotated(self, index: Tensor) -> tuple[Tensor, Tensor]:
        places = self._places(index)
        if self.augmentation == "nnunet":
            points = self._points(index, places)
            labels = points.nearest(self._volumes.labels).view(-1, *self._volumes.patch)
            return self._strong(index, points), labels.long()
        voxels = self._voxels(index, places)
        return self._images(index, voxels), self._volumes.labels[voxels].long()

    def _views(self, index: Tensor, count: int) -> tuple[Tensor, ...]:
        places = self._places(index)
        if self.augmentation == "nnunet":
            return tuple(self._strong(index, self._points(index, places)) for _ in range(count))
        return tuple(self._images(index, self._voxels(index, places)) for _ in range(count))

    def _images(self, index: Tensor, voxels: Tensor) -> Tensor:
        """[n, C, X, Y, Z]: what images hold where these voxels of their labels lie."""
        volumes = self._volumes
        if volumes.channels == 1:
            return volumes.images[voxels][:, None]
        shifts = volumes.channel_starts(index) - volumes.offsets[index, None]
        return volumes.images[voxels[:, None] + shifts[:, :, None, None, None]]

    def _places(self, index: Tensor) -> Tensor:
        return draw_places(len(index), self._generator, index.device)

    def _voxels(self, index: Tensor, places: Tensor) -> Tensor:
        """[n, X, Y, Z]: where the patches' voxels lie, once they are turned."""
        count, device = len(index), index.device
        turns = draw_turns(count, self._generator, device) if self.augmentation == "weak" else no_turns(count, device)
        volumes = self._volumes
        return patch_indices(volumes.offsets[index], volumes.shapes[index], places, turns, volumes.patch)

    def _points(self, index: Tensor, places: Tensor) -> Points:
        volumes = self._volumes
        size = torch.stack([torch.full_like(index, side) for side in volumes.patch], 1)
        shapes = volumes.shapes[index]
        centres = (places * (shapes - size + 1)).long() + (size - 1) / 2
        isotropic = torch.ones(len(index), device=index.device)
        maps = nnunet.draw_maps(isotropic, volumes.patch, self._generator)
        return Points(volumes.offsets[index], shapes, maps @ self._grid + centres[:, :, None].float())

    def _strong(self, index: Tensor, points: Points) -> Tensor:
        """[n, C, X, Y, Z]: patches as they are read at these points, each channel in other intensities of its own."""
        volumes, patch = self._volumes, self._volumes.patch
        means, deviations = volumes.means[index].flatten(), volumes.deviations[index].flatten()
        read = points.in_channels(volumes.channel_starts(index)).linear(volumes.images, means).view(-1, 1, *patch)
        draws = nnunet.draw_intensities(len(read), patch, self._generator, index.device)
        return nnunet.change_intensities(read, draws, means, deviations).view(-1, volumes.channels, *patch)
