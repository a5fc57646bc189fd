"""Training in 2D: slices at training size, turned and flipped as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.data import augment, nnunet
from harness.data.interpolate import Points, centred_points
from harness.data.preprocess import Preprocessed
from harness.data.sampler import Sampler, TrainingSet, labelled_or_not, scan_statistics
from harness.records.schema import Augmentation


@dataclass(frozen=True)
class Slices(TrainingSet):
    """All training slices at training size.

    images: [N, C, H, W] float32; labels: [N, H, W] uint8.
    aspects: [N] float32, width over height of what a pixel covers of the native slice.
    means, deviations: [N, C] float32, of the scan that each slice is of.
    """

    images: Tensor
    labels: Tensor
    aspects: Tensor
    means: Tensor
    deviations: Tensor
    labelled: Tensor
    unlabelled: Tensor

    @classmethod
    def load(cls, cases: Preprocessed, labelled: Sequence[str], device: torch.device) -> Slices:
        """All slices on the device, in the order of the cases; `labelled` names patients."""
        height, width = cases.preprocessing.size
        images = cases.images.view(-1, cases.channels, height, width).to(device)
        labels = cases.labels.view(-1, height, width).to(device)
        slices = [case for case in cases.cases for _ in range(case.shape[0])]
        aspects = torch.tensor([case.shape[2] / width * height / case.shape[1] for case in slices], device=device)
        is_labelled = [case.annotated and case.patient in labelled for case in slices]
        depths = [case.shape[0] for case in cases.cases]
        scans = cases.images.view(-1, cases.channels, height, width).split(depths)
        statistics = scan_statistics(scan.unbind(1) for scan in scans)
        means, deviations = (each.repeat_interleave(torch.tensor(depths), dim=0).to(device) for each in statistics)
        return cls(images, labels, aspects, means, deviations, *labelled_or_not(is_labelled, device))

    @property
    def example(self) -> Tensor:
        return self.images[:1]

    def sampler(self, seed: int, augmentation: Augmentation) -> SliceSampler:
        return SliceSampler(self, seed, augmentation)


class SliceSampler(Sampler):
    def __init__(self, data: Slices, seed: int, augmentation: Augmentation) -> None:
        super().__init__(data, seed, augmentation)
        self._slices = data
        self._size = (data.images.shape[-2], data.images.shape[-1])
        self._grid = centred_points(self._size, data.images.device)

    def _annotated(self, index: Tensor) -> tuple[Tensor, Tensor]:
        if self.augmentation == "nnunet":
            points = self._points(index)
            return self._strong(index, points), points.nearest(self._slices.labels.view(-1)).view(
                -1, *self._size
            ).long()
        images, labels = self._view(index, self._slices.labels[index].long())
        assert labels is not None
        return images, labels

    def _views(self, index: Tensor, count: int) -> tuple[Tensor, ...]:
        if self.augmentation == "nnunet":
            return tuple(self._strong(index, self._points(index)) for _ in range(count))
        return tuple(self._view(index, None)[0] for _ in range(count))

    def _view(self, index: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        images = self._slices.images[index]
        if self.augmentation == "none":
            return images, labels
        maps = augment.draw_maps(self._slices.aspects[index], self._size, self._generator)
        return augment.apply_maps(images, labels, maps, self._grid)

    def _points(self, index: Tensor) -> Points:
        maps = nnunet.draw_maps(self._slices.aspects[index], self._size, self._generator)
        height, width = self._size
        places = maps @ self._grid
        places[:, 0] += (height - 1) / 2
        places[:, 1] += (width - 1) / 2
        shapes = torch.stack([torch.full_like(index, height), torch.full_like(index, width)], 1)
        return Points(index * (height * width), shapes, places)

    def _strong(self, index: Tensor, points: Points) -> Tensor:
        """[n, C, H, W]: slices as they are read at these points, each channel in other intensities of its own."""
        means, deviations = self._slices.means[index].flatten(), self._slices.deviations[index].flatten()
        channels, pixels = self._slices.images.shape[1], self._size[0] * self._size[1]
        first = (index[:, None] * channels + torch.arange(channels, device=index.device)) * pixels
        read = points.in_channels(first).linear(self._slices.images.view(-1), means).view(-1, 1, *self._size)
        draws = nnunet.draw_intensities(len(read), self._size, self._generator, index.device)
        return nnunet.change_intensities(read, draws, means, deviations).view(-1, channels, *self._size)
