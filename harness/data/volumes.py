"""Training in 3D: patches of whole volumes, which lie end to end on the device, so that a batch is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.api.dataset import Case
from harness.data.patches import draw_places, draw_turns, no_turns, patch_indices
from harness.data.sampler import Sampler, TrainingSet
from harness.data.shrink import shrink_image, shrink_labels, shrunk_shape
from harness.records.schema import Preprocessing

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
    def load(
        cls, cases: Sequence[Case], labelled: Sequence[str], preprocessing: Preprocessing, device: torch.device
    ) -> Volumes:
        """Shrink every volume as the suite asks and pad it with zeros, their mean, up to the patch; no copy is kept.

        labelled: names of patients.
        """
        patch, factor = preprocessing.size, preprocessing.shrink
        shapes = torch.tensor([padded_shape(shrunk_shape(case.image.shape, factor), patch) for case in cases])
        ends = shapes.prod(dim=1).cumsum(0)
        images = torch.empty(int(ends[-1]), device=device)
        labels = torch.empty(int(ends[-1]), dtype=torch.uint8, device=device)
        for case, shape, end in zip(cases, shapes.tolist(), ends.tolist(), strict=True):
            place = slice(end - shape[0] * shape[1] * shape[2], end)
            images[place] = pad(shrink_image(torch.from_numpy(case.image).to(device), factor), shape).flatten()
            labels[place] = pad(shrink_labels(torch.from_numpy(case.label).to(device), factor), shape).flatten()
        chosen = set(labelled)
        flags = torch.tensor([case.patient in chosen for case in cases])
        numbers = [which.nonzero()[:, 0].to(device) for which in (flags, ~flags)]
        offsets = ends - shapes.prod(dim=1)
        return cls(images, labels, offsets.to(device), shapes.to(device), numbers[0], numbers[1], patch)

    @property
    def example(self) -> Tensor:
        """The first corner of the first volume."""
        volume = self.images[: int(self.shapes[0].prod())].view(self.shapes[0].tolist())
        return volume[tuple(slice(side) for side in self.patch)][None, None]

    def sampler(self, seed: int, augment: bool) -> VolumeSampler:
        """A new sampler of these volumes."""
        return VolumeSampler(self, seed, augment)


def padded_shape(shape: Shape, patch: Shape) -> Shape:
    """The volume's shape, no side shorter than the patch; in plane than its longer side, since patches are turned."""
    widest = max(patch[0], patch[1])
    return max(shape[0], widest), max(shape[1], widest), max(shape[2], patch[2])


def pad(volume: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros around a volume [X, Y, Z] up to `shape`, half of them before it, as inference pads."""
    lacking = [side - present for side, present in zip(shape, volume.shape, strict=True)]
    return F.pad(volume, [part for lack in reversed(lacking) for part in (lack // 2, lack - lack // 2)])


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
