"""Native slices to training size, the same way for training, validation and test."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Resize = Literal["nearest", "area", "bilinear"]
_MODES = {"nearest": "nearest-exact", "area": "area", "bilinear": "bilinear"}


def resize_images(images: Tensor, size: tuple[int, int], how: Resize) -> Tensor:
    """[N, C, H, W] float32 -> [N, C, *size]."""
    if tuple(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size, mode=_MODES[how])


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """[N, H, W] uint8 -> [N, *size], nearest neighbour."""
    if tuple(labels.shape[-2:]) == size:
        return labels
    return F.interpolate(labels[:, None].to(torch.uint8), size, mode="nearest-exact")[:, 0]
