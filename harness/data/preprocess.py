"""Cases at training size, end to end in flat tensors: what training, validation and test all start from."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.api.dataset import Case, NewScan
from harness.data.resize import resize_images, resize_labels
from harness.data.shrink import (
    pad,
    padded_shape,
    resample_image,
    resample_labels,
    shrink_image,
    shrink_labels,
    shrunk_shape,
)
from harness.records.manifest import CaseInfo
from harness.records.schema import Preprocessing

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Preprocessed:
    """Cases on the host, in memory or mapped from a file (`harness.data.mapped`).

    images: [C V] float32, labels: [V] uint8; the voxels at training size of one case after the other, each in C order:
            slices [Z, C, h, w], volumes [C, x, y, z].
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
    def annotated_patients(self) -> list[str]:
        """Those of whom some case has labels, in published order."""
        return list(dict.fromkeys(case.patient for case in self.cases if case.annotated))

    @property
    def channels(self) -> int:
        return len(self.images) // max(1, len(self.labels))

    @property
    def shapes(self) -> list[Shape]:
        """Of each case at training size: slices (Z, h, w), volumes (x, y, z)."""
        return [training_shape(case, self.preprocessing) for case in self.cases]

    def volumes(self) -> Iterator[tuple[CaseInfo, Tensor, Tensor]]:
        """Each case with views of its image as predictors get it, without padding, and of its native label.

        image: 2D: [Z, C, h, w]; 3D: [C, x, y, z].
        """
        images = self.images.split([self.channels * math.prod(shape) for shape in self.shapes])
        native = self.native.split([math.prod(case.shape) for case in self.cases])
        for case, shape, image, label in zip(self.cases, self.shapes, images, native, strict=True):
            yield case, self._unpadded(image, case, shape), label.view(case.shape)

    def _unpadded(self, image: Tensor, case: CaseInfo, shape: Shape) -> Tensor:
        if len(self.preprocessing.size) == 2:
            return image.view(shape[0], self.channels, *shape[1:])
        image = image.view(self.channels, *shape)
        for axis, side in enumerate(shrunk_shape(case.grid or case.shape, self.preprocessing.shrink), start=1):
            image = image.narrow(axis, (image.shape[axis] - side) // 2, side)
        return image


def preprocess(infos: Sequence[CaseInfo], cases: Iterable[Case], preprocessing: Preprocessing) -> Preprocessed:
    """Bring cases to training size, one at a time, always on the CPU: all devices train on the same bits."""
    sizes = [math.prod(training_shape(info, preprocessing)) for info in infos]
    image_sizes = [info.channels * size for info, size in zip(infos, sizes, strict=True)]
    native_sizes = [math.prod(info.shape) for info in infos]
    images = torch.empty(sum(image_sizes))
    labels = torch.empty(sum(sizes), dtype=torch.uint8)
    native = torch.empty(sum(native_sizes), dtype=torch.uint8)
    places = zip(images.split(image_sizes), labels.split(sizes), native.split(native_sizes), strict=True)
    for case, (image, label, annotated) in zip(cases, places, strict=True):
        image.copy_(training_image(case, preprocessing).flatten())
        label.copy_(training_labels(case, preprocessing).flatten())
        annotated.copy_(torch.from_numpy(case.label).flatten())
    return Preprocessed(preprocessing, infos, images, labels, native)


def training_shape(case: CaseInfo, preprocessing: Preprocessing) -> Shape:
    """Of a case's labels at training size; volumes as they are padded for patches."""
    size = preprocessing.size
    if len(size) == 2:
        return case.shape[0], *size
    return padded_shape(shrunk_shape(case.grid or case.shape, preprocessing.shrink), size)


def training_image(case: Case, preprocessing: Preprocessing) -> Tensor:
    """Every slice resized, [Z, C, h, w]; or the volume resampled, shrunk and padded with zeros, [C, x, y, z]."""
    image, size = predictor_image(case, preprocessing), preprocessing.size
    return image if len(size) == 2 else pad(image, padded_shape(tuple(image.shape[1:]), size))


def predictor_image(scan: Case | NewScan, preprocessing: Preprocessing) -> Tensor:
    """A scan as predictors get it: its slices [Z, C, h, w], or the volume [C, x, y, z] without padding."""
    image, size = torch.from_numpy(scan.image).view(-1, *scan.image.shape[-3:]), preprocessing.size
    if len(size) == 2:
        return resize_images(image.transpose(0, 1), (size[0], size[1]), preprocessing.resize)
    return shrink_image(resample_image(image, scan.grid), preprocessing.shrink)


def training_labels(case: Case, preprocessing: Preprocessing) -> Tensor:
    """The same of a label, without channels, by nearest neighbour."""
    labels, size = torch.from_numpy(case.label), preprocessing.size
    if len(size) == 2:
        return resize_labels(labels, (size[0], size[1]))
    small = shrink_labels(resample_labels(labels, case.grid), preprocessing.shrink)
    return pad(small, padded_shape(tuple(small.shape), size))
