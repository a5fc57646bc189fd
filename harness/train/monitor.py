"""Records what a method does beyond its loss: to its images, on other threads, and during validations.

Compared are a few whole training steps, chosen before they start; the comparison itself comes after the clock has
stopped. A watched step differs from any other by one hook on one layer, which keeps a reference to what it is given.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn

from harness.api.method import Batch
from harness.api.params import Alteration
from harness.evaluation.predict import inference
from harness.records.schema import Augmentation, Observed


class MethodMonitor:
    """Counts over the useful steps of a run; in its checkpoint, so that a resumed run goes on counting."""

    def __init__(self) -> None:
        self._counts: dict[str, float] = defaultdict(int)  # by the field of `Observed`
        self._entry: nn.Module | None = None
        self._batch: Batch | None = None
        self._versions: list[int] = []
        self._seen: list[Tensor] = []

    def request_image_check(self, network: nn.Module, image: Tensor) -> None:
        """Compare the images of the next step; network: the one that is tested; image: any, [1, C, *size]."""
        self._entry = first_layer(network, image)

    @property
    def requested(self) -> bool:
        return self._entry is not None

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around one training step, outside its clock."""
        hook = None if self._entry is None else self._entry.register_forward_pre_hook(self._keep)
        began = time.process_time()
        try:
            yield
        finally:
            self._counts["process_cpu_seconds"] += time.process_time() - began
            if hook is not None:
                hook.remove()

    def _keep(self, _layer: nn.Module, given: tuple[Any, ...]) -> None:
        if given and isinstance(given[0], Tensor) and torch.is_grad_enabled():
            self._seen.append(given[0].detach())

    def given(self, batch: Batch) -> None:
        """The batch that the engine made for this step."""
        if self._entry is not None:
            self._batch = batch
            self._versions = _versions(batch)

    def compare(self) -> None:
        """After a step and outside the clock: count what became of the images, if the step was watched."""
        batch, seen, self._batch, self._seen = self._batch, self._seen, None, []
        if self._entry is None or batch is None:
            return
        self._entry = None
        if seen:
            self._counts["steps"] += 1
        in_place = _versions(batch) != self._versions  # then there is nothing left to compare with
        for images in seen:
            for kind in ["altered"] * len(images) if in_place else alterations(images, batch):
                self._counts[f"images_{kind}"] += 1

    @contextmanager
    def validation(self, method: nn.Module) -> Iterator[None]:
        """Around a validation, which must leave the method as it was."""
        before = state_sha256(method)
        yield
        self._counts["validations_that_trained"] += state_sha256(method) != before

    def record(self, sampled: Augmentation, declared: tuple[Alteration, ...]) -> Observed:
        return Observed.model_validate({"sampled": sampled, "declared": declared, **self._counts})

    def state_dict(self) -> dict[str, Any]:
        return dict(self._counts)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._counts = defaultdict(int, state)


def first_layer(network: nn.Module, image: Tensor) -> nn.Module | None:
    """The first module without children that the network calls; None if it calls none. Leaves no trace."""
    called: list[nn.Module] = []
    leaves = [module for module in network.modules() if next(module.children(), None) is None]
    hooks = [leaf.register_forward_pre_hook(lambda layer, _given: called.append(layer)) for leaf in leaves]
    try:
        with inference(network, image.device):
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return called[0] if called else None


def alterations(images: Tensor, batch: Batch) -> list[Literal["same", "mixed", "altered"]]:
    """What became of each of the images [N, C, *size] that a network was given, next to the batch it comes from."""
    sources = torch.cat((batch.images, *batch.unlabelled))
    if images.shape[1:] != sources.shape[1:]:
        return ["altered"] * len(images)
    kinds: list[Literal["same", "mixed", "altered"]] = []
    for image in images:
        equal = sources == image
        if equal.flatten(1).all(dim=1).any():
            kinds.append("same")
        else:
            kinds.append("mixed" if equal.any(dim=0).all() else "altered")
    return kinds


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names and bytes of tensors."""
    total = hashlib.sha256()
    for name, tensor in tensors.items():
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def state_sha256(method: nn.Module) -> str:
    return tensors_sha256(dict(chain(method.named_parameters(), method.named_buffers())))


def _versions(batch: Batch) -> list[int]:
    """Counters that torch raises at every change in place."""
    tensors: Sequence[Tensor] = (batch.images, *batch.unlabelled)
    return [tensor._version for tensor in tensors]
