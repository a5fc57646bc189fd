"""Native volumes to the voxel size of their dataset, to a fraction of it, and padded to the size of a patch."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def resample_image(image: Tensor, grid: tuple[int, ...] | None) -> Tensor:
    """[C, X, Y, Z] float32 -> [C, *grid], linearly between the centres of voxels; None leaves it alone."""
    return image if grid is None else F.interpolate(image[None], grid, mode="trilinear")[0]


def resample_labels(labels: Tensor, grid: tuple[int, ...] | None) -> Tensor:
    """[X, Y, Z] uint8 -> `grid`, nearest neighbour."""
    return labels if grid is None else F.interpolate(labels[None, None], grid, mode="nearest-exact")[0, 0]


def shrunk_shape(shape: tuple[int, ...], factor: int | None) -> tuple[int, ...]:
    """Each side divided by `factor`, to the nearest whole number of voxels; None leaves it alone."""
    return shape if factor is None else tuple(max(1, round(side / factor)) for side in shape)


def shrink_image(image: Tensor, factor: int | None) -> Tensor:
    """[..., X, Y, Z] float32 -> its `shrunk_shape`: each voxel the mean of those whose place it takes."""
    if factor is None:
        return image
    before, shape = image.shape[:-3], image.shape[-3:]
    small = shrunk_shape(tuple(shape), factor)
    return F.interpolate(image.reshape(1, -1, *shape), small, mode="area").view(*before, *small)


def shrink_labels(labels: Tensor, factor: int | None) -> Tensor:
    """[X, Y, Z] uint8 -> `shrunk_shape`, nearest neighbour."""
    if factor is None:
        return labels
    return F.interpolate(labels[None, None], shrunk_shape(tuple(labels.shape), factor), mode="nearest-exact")[0, 0]


def padded_shape(shape: tuple[int, ...], patch: tuple[int, ...]) -> tuple[int, ...]:
    """The volume's shape, no side shorter than the patch, in plane than its longer side."""
    widest = max(patch[0], patch[1])
    return max(shape[0], widest), max(shape[1], widest), max(shape[2], patch[2])


def pad(volume: Tensor, shape: Sequence[int]) -> Tensor:
    """Zeros around a volume [..., X, Y, Z] up to `shape`, half of them before it, as inference pads."""
    lacking = [side - present for side, present in zip(shape, volume.shape[-3:], strict=True)]
    return F.pad(volume, [part for lack in reversed(lacking) for part in (lack // 2, lack - lack // 2)])
