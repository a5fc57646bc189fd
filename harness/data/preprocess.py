"""Cases at training size, end to end in flat tensors: what training, validation and test all start from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.api.dataset import Case
from harness.data.manifest import CaseInfo
from harness.data.resize import resize_images, resize_labels
from harness.data.shrink import pad, padded_shape, shrink_image, shrink_labels, shrunk_shape
from harness.records.schema import Preprocessing

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Preprocessed:
    """Cases on the host, in memory or mapped from a file (`harness.data.mapped`).

    images: [V] float32, labels: [V] uint8; the voxels at training size of one case after the other, each in C order.
    native: [W] uint8; the labels as annotated, in the same order.
    """

    preprocessing: Preprocessing
    cases: Sequence[CaseInfo]
    images: Tensor
    labels: Tensor
    native: Tensor

    @property
    def patients(self) -> list[str]:
        """In published order."""
        return list(dict.fromkeys(case.patient for case in self.cases))

    @property
    def shapes(self) -> list[Shape]:
        """Of each case at training size: slices (Z, h, w), volumes (x, y, z)."""
        return [training_shape(case.shape, self.preprocessing) for case in self.cases]

    def volumes(self) -> Iterator[tuple[CaseInfo, Tensor, Tensor]]:
        """Each case with views of its image as predictors get it, without padding, and of its native label.

        image: 2D: [Z, C, h, w]; 3D: [C, x, y, z].
        """
        images = self.images.split([math.prod(shape) for shape in self.shapes])
        native = self.native.split([math.prod(case.shape) for case in self.cases])
        for case, shape, image, label in zip(self.cases, self.shapes, images, native, strict=True):
            yield case, self._unpadded(image.view(shape), case.shape), label.view(case.shape)

    def _unpadded(self, image: Tensor, native_shape: Shape) -> Tensor:
        if len(self.preprocessing.size) == 2:
            return image[:, None]
        sides = shrunk_shape(native_shape, self.preprocessing.shrink)
        for axis, side in enumerate(sides):
            image = image.narrow(axis, (image.shape[axis] - side) // 2, side)
        return image[None]


def preprocess(infos: Sequence[CaseInfo], cases: Iterable[Case], preprocessing: Preprocessing) -> Preprocessed:
    """Bring cases to training size, always on the CPU: all devices train on the same bits.

    infos: of the same cases, in their order. cases: taken one at a time, so that no more than one is in memory.
    """
    sizes = [math.prod(training_shape(info.shape, preprocessing)) for info in infos]
    native_sizes = [math.prod(info.shape) for info in infos]
    images = torch.empty(sum(sizes))
    labels = torch.empty(sum(sizes), dtype=torch.uint8)
    native = torch.empty(sum(native_sizes), dtype=torch.uint8)
    places = zip(images.split(sizes), labels.split(sizes), native.split(native_sizes), strict=True)
    for case, (image, label, annotated) in zip(cases, places, strict=True):
        image.copy_(training_image(case, preprocessing).flatten())
        label.copy_(training_labels(case, preprocessing).flatten())
        annotated.copy_(torch.from_numpy(case.label).flatten())
    return Preprocessed(preprocessing, infos, images, labels, native)


def training_shape(native_shape: Shape, preprocessing: Preprocessing) -> Shape:
    """Of a case at training size; volumes as they are padded for patches."""
    size = preprocessing.size
    if len(size) == 2:
        return native_shape[0], *size
    return padded_shape(shrunk_shape(native_shape, preprocessing.shrink), size)


def training_image(case: Case, preprocessing: Preprocessing) -> Tensor:
    """Of `training_shape`: every slice resized, or the volume shrunk and padded with zeros, their mean."""
    image, size = torch.from_numpy(case.image), preprocessing.size
    if len(size) == 2:
        return resize_images(image[:, None], (size[0], size[1]), preprocessing.resize)
    return pad(shrink_image(image, preprocessing.shrink), training_shape(case.image.shape, preprocessing))


def training_labels(case: Case, preprocessing: Preprocessing) -> Tensor:
    """Of `training_shape`, by nearest neighbour."""
    labels, size = torch.from_numpy(case.label), preprocessing.size
    if len(size) == 2:
        return resize_labels(labels, (size[0], size[1]))
    return pad(shrink_labels(labels, preprocessing.shrink), training_shape(case.label.shape, preprocessing))
