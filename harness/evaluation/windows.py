"""Label maps of whole volumes, window by window, in batches: softmax scores averaged where windows overlap.

As the field does it (METHODS 2.2): windows start at every multiple of the stride, the last one of each axis is moved
back to the border, and a volume that is smaller than a window is padded with zeros on both sides. MONAI places windows
and pads by the same rules; a plain loop in the tests holds it to them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.api.errors import ServiceError
from harness.evaluation.eval_mode import Precision, inference
from harness.evaluation.nearest import nearest_indices

WINDOW_STRIDE = (18, 18, 4)
"""The field's, between windows of 112 x 112 x 80 voxels."""


def predict_volume(
    network: nn.Module,
    image: Tensor,
    native_shape: tuple[int, int, int],
    size: Sequence[int],
    stride: Sequence[int] | None = None,
    *,
    batch_size: int = 4,
    precision: Precision = "float32",
    channels_last: bool = False,
) -> NDArray[np.uint8]:
    """Label map of one volume at native resolution.

    network:       windows [N, C, *size] -> logits [N, n_classes, *size]; left as `inference` says.
    image:         [C, x, y, z], the volume at training resolution, on the network's device.
    native_shape:  (X, Y, Z).
    size, stride:  of the windows in voxels at training resolution; None: `WINDOW_STRIDE`, no longer than a window.
    batch_size:    windows per forward pass; bounds the memory.
    precision:     of the forward pass; scores are summed in float32.
    channels_last: memory format of each batch; give the network's.
    Returns [X, Y, Z] uint8: the class of the highest mean score, brought to native resolution by nearest neighbour.
    Raises ValueError when image or stride do not fit, `ServiceError` without MONAI.
    """
    if image.ndim != 4 or batch_size < 1:
        raise ValueError(f"a volume is [C, x, y, z], in batches of at least 1, not {list(image.shape)} by {batch_size}")
    with inference(network, image.device, precision):
        scores = window_scores(network, image, size, stride, batch_size, channels_last)
        labels = scores.argmax(dim=0).to(torch.uint8)
        for axis, side in enumerate(native_shape):
            labels = labels.index_select(axis, nearest_indices(labels.shape[axis], side).to(labels.device))
    return labels.cpu().numpy()


def window_scores(
    network: nn.Module,
    image: Tensor,
    size: Sequence[int],
    stride: Sequence[int] | None = None,
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
        image[None], tuple(size), batch_size, scores, overlap=overlaps(size, stride_of(size, stride)), mode="constant"
    )
    assert isinstance(averaged, Tensor)
    return averaged[0]


def stride_of(size: Sequence[int], stride: Sequence[int] | None) -> tuple[int, ...]:
    """The given stride, or the field's. Raises ValueError for one that would leave gaps."""
    if stride is None:
        return tuple(min(step, side) for step, side in zip(WINDOW_STRIDE, size, strict=True))
    if len(stride) != len(size) or not all(1 <= step <= side for step, side in zip(stride, size, strict=True)):
        raise ValueError(f"a stride has {len(size)} steps within 1 and the window's {list(size)}, not {list(stride)}")
    return tuple(stride)


def overlaps(size: Sequence[int], stride: Sequence[int]) -> tuple[float, ...]:
    """The shares of a window that give MONAI exactly this stride: it rounds size * (1 - overlap) down.

    Half a voxel more than the stride keeps that from falling to the one below.
    """
    return tuple(max(0.0, 1.0 - (step + 0.5) / side) for side, step in zip(size, stride, strict=True))


def require_monai() -> None:
    """Raise `ServiceError` where MONAI is not installed; loads nothing."""
    if importlib.util.find_spec("monai") is None:
        raise ServiceError("predicting volumes needs MONAI, which is not installed; pip install 'harness-ssl[volumes]'")
