"""Native volumes to a fraction of their resolution, the same way for training, validation and test."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def shrunk_shape(shape: tuple[int, ...], factor: int | None) -> tuple[int, ...]:
    """Each side divided by `factor`, to the nearest whole number of voxels; None leaves it alone."""
    return shape if factor is None else tuple(max(1, round(side / factor)) for side in shape)


def shrink_image(image: Tensor, factor: int | None) -> Tensor:
    """[X, Y, Z] float32 -> `shrunk_shape`: each voxel the mean of those whose place it takes."""
    if factor is None:
        return image
    return F.interpolate(image[None, None], shrunk_shape(tuple(image.shape), factor), mode="area")[0, 0]


def shrink_labels(labels: Tensor, factor: int | None) -> Tensor:
    """[X, Y, Z] uint8 -> `shrunk_shape`, nearest neighbour."""
    if factor is None:
        return labels
    return F.interpolate(labels[None, None], shrunk_shape(tuple(labels.shape), factor), mode="nearest-exact")[0, 0]
