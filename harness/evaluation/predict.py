"""Label maps of whole scans, from batches of slices or of windows that several scans share, without a trace.

Windows as the field has them (METHODS 2.2): they start at every multiple of the stride, the last one of each axis is
moved back to the border, a volume that is smaller than a window is padded with zeros on both sides, and softmax scores
are averaged where windows overlap. A plain loop in the tests holds this one to them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby, product
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api.dataset import LabelMap, Task
from harness.data.shrink import pad
from harness.records.schema import Engine
from harness.suite.contract import answer_problem

Precision = Literal["float32", "bfloat16"]
Stride = Sequence[int] | None
Window = tuple[slice, ...]

WINDOW_STRIDE = (18, 18, 4)
"""The field's, between windows of 112 x 112 x 80 voxels."""
SLICES_AT_ONCE = 32
CPU_PIXELS = 2**18
"""Of a forward pass on a CPU; more leave its caches: 16 slices of 256 x 256 took 125 ms each at once, 69 ms by fours. A
single small image is slow too: a window of 48 x 48 x 16 took 110 ms alone and 35 ms by fours."""


@contextmanager
def inference(network: nn.Module, device: torch.device, precision: Precision = "float32") -> Iterator[None]:
    """Evaluation mode without gradients; training flags and random generators return to what they were."""
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


def predict_slices(network: nn.Module, volumes: Sequence[Tensor], engine: Engine) -> list[Tensor]:
    """Label map [Z, h, w] uint8 of every volume [Z, C, h, w] at training size: the class of the highest logit."""
    slices = list(chain.from_iterable(volumes))
    with inference(network, slices[0].device, engine.precision):
        labels = torch.cat([logits.argmax(dim=1).to(torch.uint8) for logits in _slice_logits(network, slices, engine)])
    return list(labels.split([len(volume) for volume in volumes]))


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """What a network answers to images [N, C, *size]. Raises `ValueError` for another shape than [N, *, *size]."""
    logits: Tensor = network(images)
    if problem := answer_problem(logits, images):
        raise ValueError(f"the predictor ({type(network).__name__}) {problem}")
    return logits


def slice_scores(network: nn.Module, slices: Tensor, engine: Engine) -> Tensor:
    """Softmax scores of every class, [Z, n_classes, h, w] float32, of one volume."""
    with inference(network, slices.device, engine.precision):
        return torch.cat([logits.float().softmax(dim=1) for logits in _slice_logits(network, list(slices), engine)])


def _slice_logits(network: nn.Module, slices: Sequence[Tensor], engine: Engine) -> Iterator[Tensor]:
    memory_format = torch.channels_last if engine.channels_last else torch.contiguous_format
    return (logits_of(network, images) for images in stacked(slices, SLICES_AT_ONCE, memory_format))


def predict_windows(
    network: nn.Module, volumes: Sequence[Tensor], task: Task, stride: Stride, engine: Engine
) -> list[Tensor]:
    """Label map [x, y, z] uint8 of each volume [C, x, y, z] at training resolution: the class of highest mean score.

    stride: of the windows in voxels; None: `WINDOW_STRIDE`. It is never longer than a window.
    engine: precision and memory format, and how many windows fit into each forward: windows without gradients do where
            patches with gradients did. Scores are summed in float32.
    """
    with inference(network, volumes[0].device, engine.precision):
        return [
            scores.argmax(dim=0).to(torch.uint8) for scores in window_scores(network, volumes, task, stride, engine)
        ]


def window_scores(
    network: nn.Module, volumes: Sequence[Tensor], task: Task, stride: Stride, engine: Engine
) -> Iterator[Tensor]:
    """Mean softmax score of every class, [n_classes, x, y, z], of one volume after the other."""
    memory_format = torch.channels_last_3d if engine.channels_last else torch.contiguous_format
    padded = [pad(volume, tuple(map(max, volume.shape[1:], task.size))) for volume in volumes]
    places = [(number, window) for number, volume in enumerate(padded) for window in windows(volume, task, stride)]
    crops = [padded[number][(slice(None), *window)] for number, window in places]
    passes = stacked(crops, engine.batch_size, memory_format)
    scores = chain.from_iterable(logits_of(network, images).float().softmax(dim=1) for images in passes)
    for number, scored in groupby(zip(places, scores, strict=True), key=lambda pair: pair[0][0]):
        shape = padded[number].shape[1:]
        total, count = crops[0].new_zeros(task.n_classes, *shape), crops[0].new_zeros(shape)
        for (_, window), score in scored:
            total[(slice(None), *window)] += score
            count[window] += 1
        sides = zip(shape, volumes[number].shape[1:], strict=True)
        inside = [slice((side - present) // 2, (side - present) // 2 + present) for side, present in sides]
        yield total.div_(count)[(slice(None), *inside)]


def windows(volume: Tensor, task: Task, stride: Stride) -> Iterator[Window]:
    """Where the windows of a volume [C, x, y, z] lie, the last axis first; no side is shorter than a window's."""
    axes = zip(volume.shape[1:], task.size, WINDOW_STRIDE if stride is None else stride, strict=True)
    starts = [[*range(0, side - length, min(step, length)), side - length] for side, length, step in axes]
    for corner in product(*starts):
        yield tuple(slice(first, first + length) for first, length in zip(corner, task.size, strict=True))


def stacked(images: Sequence[Tensor], most: int, memory_format: torch.memory_format) -> Iterator[Tensor]:
    """All images [C, *size], at most so many at a time and on a CPU no more than `CPU_PIXELS`: [N, C, *size] each."""
    at_once = most if images[0].is_cuda else max(1, min(most, CPU_PIXELS // images[0][0].numel()))
    for first in range(0, len(images), at_once):
        yield torch.stack(list(images[first : first + at_once])).contiguous(memory_format=memory_format)


def at_native(labels: Tensor, native_shape: Sequence[int]) -> Tensor:
    """A label map brought to another shape by nearest neighbour, where it lies."""
    for axis, side in enumerate(native_shape):
        if labels.shape[axis] != side:
            labels = labels.index_select(axis, nearest_indices(labels.shape[axis], side).to(labels.device))
    return labels


def nearest_indices(source: int, target: int) -> Tensor:
    """Source index of each of `target` positions under torch's `nearest-exact`, [target] int64 on the CPU.

    Asked of torch itself: it rounds floor((i + 0.5) * source / target) in float32, and the exact rule differs from it
    at some sizes.
    """
    positions = torch.arange(source, dtype=torch.float32)[None, None]
    return functional.interpolate(positions, size=target, mode="nearest-exact")[0, 0].long()


def keep_largest(labels: LabelMap) -> LabelMap:
    """A copy of a label map, any dimension, in which each foreground class keeps its largest component alone.

    Voxels are connected through faces, edges and corners, as in the field's code; of equal components the first stays.
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
