"""Label maps at native resolution from slices at training size, slice by slice in batches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.evaluation.eval_mode import Precision, inference
from harness.evaluation.nearest import nearest_indices


def predict_labels(
    network: nn.Module,
    images: Tensor,
    native_shape: tuple[int, int, int],
    *,
    batch_size: int = 32,
    precision: Precision = "float32",
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
    Random generators are left as they were. Raises ValueError when the shapes do not fit.
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
    with inference(network, images.device, precision):
        for start in range(0, depth, batch_size):
            batch = images[start : start + batch_size].contiguous(memory_format=memory_format)
            small = network(batch).argmax(dim=1).to(torch.uint8)
            labels[start : start + batch_size] = small[:, rows[:, None], columns]
    return labels.cpu().numpy()
