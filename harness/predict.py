"""Whole-volume inference: label maps at native resolution from images at training size, slice by slice in batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


def predict_labels(
    network: nn.Module,
    images: Tensor,
    native_shape: tuple[int, int, int],
    *,
    batch_size: int = 32,
    precision: Literal["float32", "bfloat16"] = "float32",
    channels_last: bool = False,
) -> NDArray[np.uint8]:
    """Label map of one volume at native resolution.

    network:       images [N, C, h, w] -> logits [N, n_classes, h, w]; every part keeps its training flag and state.
    images:        [Z, C, h, w], the slices of the volume at training size, on the network's device.
    native_shape:  (Z, H, W).
    batch_size:    slices per forward pass; bounds the memory and changes nothing else.
    precision:     of the forward pass; bfloat16 runs under autocast.
    channels_last: memory format of each batch; give the network's.
    Returns [Z, H, W] uint8: the class of the highest logit, brought to H x W by nearest neighbour.
    Random generators are left as they were found. Raises ValueError when the shapes do not fit.
    """
    depth, height, width = native_shape
    if images.ndim != 4 or len(images) != depth:
        raise ValueError(f"{depth} native slices need images [{depth}, C, h, w], not {list(images.shape)}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    rows = nearest_indices(images.shape[2], height).to(images.device)
    columns = nearest_indices(images.shape[3], width).to(images.device)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    labels = torch.empty(native_shape, dtype=torch.uint8, device=images.device)
    forked = [images.device] if images.is_cuda else []  # the CPU's generator is always forked
    autocast = torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
    with _evaluating(network), torch.random.fork_rng(devices=forked), torch.inference_mode(), autocast:
        for start in range(0, depth, batch_size):
            batch = images[start : start + batch_size].contiguous(memory_format=memory_format)
            small = network(batch).argmax(dim=1).to(torch.uint8)
            labels[start : start + batch_size] = small[:, rows[:, None], columns]
    return labels.cpu().numpy()


def nearest_indices(source: int, target: int) -> Tensor:
    """Source index of each of `target` positions under torch's `nearest-exact`, [target] int64 on the CPU.

    Asked of torch itself and not recomputed: torch rounds floor((i + 0.5) * source / target) in float32, and the exact
    rule differs from it at some sizes. Computed on the CPU, so that every device restores the same pixels.
    """
    positions = torch.arange(source, dtype=torch.float32)[None, None]
    return functional.interpolate(positions, size=target, mode="nearest-exact")[0, 0].long()


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode within, and each part's own flag afterwards: a method may keep some parts frozen."""
    flags = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
