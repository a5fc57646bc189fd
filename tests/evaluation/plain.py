"""Sliding windows written down as the field's code does: one window at a time, scores and counts summed on the host."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def starts(side: int, window: int, step: int) -> list[int]:
    """Where windows begin along one axis: every step, the last one moved back to the border."""
    return [min(step * number, side - window) for number in range(math.ceil((side - window) / step) + 1)]


def windows(shape: Sequence[int], size: Sequence[int], stride: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Every window of a volume that is no smaller than one."""
    along = [starts(*axis) for axis in zip(shape, size, stride, strict=True)]
    for x in along[0]:
        for y in along[1]:
            for z in along[2]:
                yield tuple(slice(first, first + side) for first, side in zip((x, y, z), size, strict=True))


def plain_scores(
    network: nn.Module, image: NDArray[np.float32], size: Sequence[int], stride: Sequence[int]
) -> NDArray[np.float32]:
    """[n_classes, X, Y, Z]: mean softmax score of a volume [X, Y, Z]; the network in evaluation mode."""
    before = [max(window - side, 0) // 2 for side, window in zip(image.shape, size, strict=True)]
    after = [max(window - side, 0) - first for side, window, first in zip(image.shape, size, before, strict=True)]
    padded = np.pad(image, list(zip(before, after, strict=True)))
    device = next((weights.device for weights in network.parameters()), torch.device("cpu"))
    total, count = None, np.zeros(padded.shape, np.float32)
    for window in windows(padded.shape, size, stride):
        with torch.no_grad():
            logits: Tensor = network(torch.from_numpy(padded[window])[None, None].to(device))
        scores = logits.softmax(dim=1)[0].cpu().numpy()
        total = np.zeros((len(scores), *padded.shape), np.float32) if total is None else total
        total[(slice(None), *window)] += scores
        count[window] += 1
    assert total is not None
    inside = tuple(slice(first, first + side) for first, side in zip(before, image.shape, strict=True))
    return np.asarray(total / count, np.float32)[(slice(None), *inside)]
