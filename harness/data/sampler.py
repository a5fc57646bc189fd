"""The device-resident training set and the batches drawn from it: an index and a batched augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from harness.data.augment import apply_maps, centred_grid, draw_maps, identity_maps
from harness.data.resize import resize_images, resize_labels
from harness.spec.dataset import Case
from harness.spec.errors import UsageError
from harness.spec.method import Batch, BatchPlan
from harness.spec.records import Preprocessing


@dataclass(frozen=True)
class TrainingSet:
    """All training slices at training size, on the device.

    images: [N, C, H, W] float32; labels: [N, H, W] uint8.
    labelled, unlabelled: indices of the slices of labelled and of the other training patients.
    """

    images: Tensor
    labels: Tensor
    labelled: Tensor
    unlabelled: Tensor

    @classmethod
    def load(
        cls, cases: Sequence[Case], labelled: Sequence[str], preprocessing: Preprocessing, device: torch.device
    ) -> TrainingSet:
        """Resize every slice on the device, in the order of the cases."""
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


class Stream:
    """Indices in random order without replacement, pass after pass; a batch may span two passes."""

    def __init__(self, name: str, indices: Tensor, generator: torch.Generator) -> None:
        self._name = name
        self._indices = indices
        self._generator = generator
        self._order = indices[:0]
        self._used = 0

    def next(self, count: int) -> Tensor:
        """[count] indices on the device; no host copy. Raises `UsageError` where there is nothing to draw from."""
        if count and not len(self._indices):
            raise UsageError(f"a batch asks for {count} {self._name} images, but no training patient is {self._name}")
        while len(self._order) - self._used < count:
            shuffle = torch.randperm(len(self._indices), generator=self._generator, device=self._indices.device)
            self._order = torch.cat([self._order[self._used :], self._indices[shuffle]])
            self._used = 0
        taken = self._order[self._used : self._used + count]
        self._used += count
        return taken

    def state_dict(self) -> dict[str, Any]:
        """What is left of the current pass."""
        return {"order": self._order[self._used :].clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on in the middle of a pass."""
        self._order = state["order"].to(self._indices.device)
        self._used = 0


class Sampler:
    """Draws augmented batches. Its generator is the only randomness of the data, and it is in the checkpoint."""

    def __init__(self, data: TrainingSet, seed: int, augment: bool) -> None:
        device = data.images.device
        self.data = data
        self._augment = augment
        self._generator = torch.Generator(device=device).manual_seed(seed)
        self._labelled = Stream("labelled", data.labelled, self._generator)
        self._unlabelled = Stream("unlabelled", data.unlabelled, self._generator)
        self._grid = centred_grid((data.images.shape[-2], data.images.shape[-1]), device)

    @property
    def augmentation(self) -> Literal["weak", "none"]:
        """What every image goes through."""
        return "weak" if self._augment else "none"

    def next(self, plan: BatchPlan) -> Batch:
        """One step's images."""
        index = self._labelled.next(plan.labelled)
        images, labels = self._view(index, self.data.labels[index].long())
        assert labels is not None
        if plan.unlabelled == 0:
            return Batch(images, labels)
        other = self._unlabelled.next(plan.unlabelled)
        views = tuple(self._view(other, None)[0] for _ in range(plan.views))
        return Batch(images, labels, views)

    def _view(self, index: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        images = self.data.images[index]
        device = images.device
        maps = draw_maps(len(index), self._generator, device) if self._augment else identity_maps(len(index), device)
        return apply_maps(images, labels, maps, self._grid)

    def state_dict(self) -> dict[str, Any]:
        """Generator and both streams."""
        return {
            "generator": self._generator.get_state(),
            "labelled": self._labelled.state_dict(),
            "unlabelled": self._unlabelled.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on bitwise."""
        self._generator.set_state(state["generator"].cpu())
        self._labelled.load_state_dict(state["labelled"])
        self._unlabelled.load_state_dict(state["unlabelled"])
