"""Label maps of whole scans at native resolution, in batches of slices or of windows, without a trace in the network.

Windows as the field has them (METHODS 2.2): they start at every multiple of the stride, the last one of each axis is
moved back to the border, a volume that is smaller than a window is padded with zeros on both sides, and softmax scores
are averaged where windows overlap. MONAI places windows and pads by the same rules; a plain loop in the tests holds it
to them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api.dataset import LabelMap
from harness.api.errors import ServiceError
from harness.records.schema import Engine

Precision = Literal["float32", "bfloat16"]
Stride = Sequence[int] | None

WINDOW_STRIDE = (18, 18, 4)
"""The field's, between windows of 112 x 112 x 80 voxels."""


@contextmanager
def inference(network: nn.Module, device: torch.device, precision: Precision = "float32") -> Iterator[None]:
    """Evaluation mode without gradients; every part's training flag and random generators return to what they were.

    precision: of the calls within; bfloat16 runs under autocast.
    """
    flags = [(module, module.training) for module in network.modules()]  # a method may keep some parts frozen
    forked = [device] if device.type == "cuda" else []  # the CPU's generator is always forked
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
    network.eval()
    try:
        with torch.random.fork_rng(devices=forked), torch.inference_mode(), autocast:
            yield
    finally:
        for module, training in flags:
            module.training = training


def predict_labels(
    network: nn.Module, images: Tensor, native_shape: Sequence[int], engine: Engine, batch_size: int = 32
) -> LabelMap:
    """Label map of one volume at native resolution, from its slices.

    network:      images [N, C, h, w] -> logits [N, n_classes, h, w]; left as `inference` says.
    images:       [Z, C, h, w], the slices of the volume at training size, on the network's device.
    native_shape: (Z, H, W).
    engine:       precision and memory format of the forward passes.
    batch_size:   slices per forward pass; bounds the memory and changes nothing else.
    Returns [Z, H, W] uint8: the class of the highest logit, brought to H x W by nearest neighbour.
    """
    memory_format = torch.channels_last if engine.channels_last else torch.contiguous_format
    with inference(network, images.device, engine.precision):
        batches = (batch.contiguous(memory_format=memory_format) for batch in images.split(batch_size))
        return at_native(torch.cat([network(batch).argmax(dim=1).to(torch.uint8) for batch in batches]), native_shape)


def predict_volume(
    network: nn.Module, image: Tensor, native_shape: Sequence[int], size: Sequence[int], stride: Stride, engine: Engine
) -> LabelMap:
    """Label map of one volume at native resolution, from its windows.

    network:      windows [N, C, *size] -> logits [N, n_classes, *size]; left as `inference` says.
    image:        [C, x, y, z], the volume at training resolution, on the network's device.
    native_shape: (X, Y, Z).
    size, stride: of the windows in voxels at training resolution; None: `WINDOW_STRIDE`, no longer than a window.
    engine:       precision and memory format of the forward passes, and how many windows fit into each: windows
                  without gradients do where patches with gradients did. Scores are summed in float32.
    Returns [X, Y, Z] uint8: the class of the highest mean score, brought to native resolution by nearest neighbour.
    Raises `ServiceError` without MONAI.
    """
    with inference(network, image.device, engine.precision):
        scores = window_scores(network, image, size, stride, engine.batch_size, engine.channels_last)
        return at_native(scores.argmax(dim=0).to(torch.uint8), native_shape)


def at_native(labels: Tensor, native_shape: Sequence[int]) -> LabelMap:
    """A label map brought to another shape by nearest neighbour, on the host."""
    for axis, side in enumerate(native_shape):
        labels = labels.index_select(axis, nearest_indices(labels.shape[axis], side).to(labels.device))
    return labels.cpu().numpy()


def nearest_indices(source: int, target: int) -> Tensor:
    """Source index of each of `target` positions under torch's `nearest-exact`, [target] int64 on the CPU.

    Asked of torch itself and not recomputed: torch rounds floor((i + 0.5) * source / target) in float32, and the exact
    rule differs from it at some sizes. Computed on the CPU, so that every device restores the same pixels.
    """
    positions = torch.arange(source, dtype=torch.float32)[None, None]
    return functional.interpolate(positions, size=target, mode="nearest-exact")[0, 0].long()


def window_scores(
    network: nn.Module,
    image: Tensor,
    size: Sequence[int],
    stride: Stride = None,
    batch_size: int = 4,
    channels_last: bool = False,
) -> Tensor:
    """Mean softmax score of every class, [n_classes, x, y, z]; arguments as for `predict_volume`."""
    require_monai()
    from monai.inferers.utils import sliding_window_inference

    memory_format = torch.channels_last_3d if channels_last else torch.contiguous_format

    def scores(windows: Tensor) -> Tensor:
        logits: Tensor = network(windows.contiguous(memory_format=memory_format))
        return logits.float().softmax(dim=1)

    averaged = sliding_window_inference(
        image[None], tuple(size), batch_size, scores, overlap=overlaps(size, stride), mode="constant"
    )
    assert isinstance(averaged, Tensor)
    return averaged[0]


def overlaps(size: Sequence[int], stride: Stride) -> tuple[float, ...]:
    """The shares of a window that give MONAI exactly this stride, or the field's: it rounds size * (1 - overlap) down.

    Half a voxel more than the stride keeps that from falling to the one below. A stride longer than a window is one of
    its length; the plan refuses those of a suite.
    """
    steps = zip(size, WINDOW_STRIDE if stride is None else stride, strict=True)
    return tuple(max(0.0, 1.0 - (min(step, side) + 0.5) / side) for side, step in steps)


def require_monai() -> None:
    """Raise `ServiceError` where MONAI is not installed; loads nothing."""
    if importlib.util.find_spec("monai") is None:
        raise ServiceError("predicting volumes needs MONAI, which is not installed; pip install 'harness-ssl[volumes]'")


def keep_largest(labels: LabelMap) -> LabelMap:
    """A copy of a label map, any dimension, in which each foreground class keeps its largest component alone.

    Post-processing, off unless a suite asks for it for all methods. Voxels are connected through faces, edges and
    corners, as in the field's code; of equal components the first stays.
    """
    from scipy import ndimage

    kept = np.zeros_like(labels)
    everywhere = np.ones((3,) * labels.ndim, dtype=bool)
    for value in range(1, int(labels.max(initial=0)) + 1):
        components, count = ndimage.label(labels == value, everywhere)
        if count:
            sizes = np.bincount(components.ravel())
            kept[components == int(sizes[1:].argmax()) + 1] = value
    return kept
