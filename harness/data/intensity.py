"""Changes of brightness and sharpness, batched: each image has a strength of its own. No shape depends on a value.

Images are [n, 1, *size], strengths [n]. Blur and low resolution are a matrix for every axis of every image.
"""

from collections.abc import Callable

import torch
from torch import Tensor

CUBIC = -0.75
"""Parameter of the cubic convolution kernel (Keys 1981), as torch's bicubic interpolation has it."""
TINY = 1e-7
"""Least range and deviation that are divided by: constant images stay constant."""


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """[n] as [n, 1, 1, ...], to be broadcast over images."""
    return values.view(-1, *(1,) * (images.ndim - 1))


def pixels(images: Tensor) -> tuple[int, ...]:
    """The axes that a statistic of an image runs over."""
    return tuple(range(1, images.ndim))


def change_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Scale about each image's mean, then clip to the range that the image had."""
    axes = pixels(images)
    mean, low, high = images.mean(axes, keepdim=True), images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    return (mean + (images - mean) * per_image(factors, images)).clamp(low, high)


def change_gamma(images: Tensor, exponents: Tensor) -> Tensor:
    """Raise intensities, scaled to [0, 1], to a power; each image keeps its mean and deviation."""
    axes = pixels(images)
    deviation, mean = torch.std_mean(images, axes, keepdim=True, correction=0)
    low = images.amin(axes, keepdim=True)
    span = (images.amax(axes, keepdim=True) - low).clamp(min=TINY)
    powers = ((images - low) / span).pow(per_image(exponents, images))
    own_deviation, own_mean = torch.std_mean(powers, axes, keepdim=True, correction=0)
    return (powers - own_mean) * (deviation / own_deviation.clamp(min=TINY)) + mean


def blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Gaussian blur of [n, 1, *size] along every axis, mirrored at the border about the outermost voxel's centre.

    sigmas: [n, D], one for each axis, in voxels, above 0 and at most a tenth of the side.
    """
    return along_axes(images, lambda axis, side: _blur_matrix(side, sigmas[:, axis]), tuple(range(sigmas.shape[1])))


def lower_resolution(images: Tensor, shares: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Bring axes of [n, 1, *size] to a share of their voxels, the nearest ones, and back by cubic convolution.

    shares: [n] in (0, 1], rounded to whole numbers of voxels; axes: those of *size, from 0.
    """
    return along_axes(images, lambda _axis, side: _low_resolution_matrix(side, shares), axes)


def along_axes(images: Tensor, matrix: Callable[[int, int], Tensor], axes: tuple[int, ...]) -> Tensor:
    """Multiply along each axis of *size with `matrix(axis, side)`, [n, side, side] from old to new voxels."""
    for axis in axes:
        last = images.movedim(axis + 2, -1)
        rows = matrix(axis, last.shape[-1])
        product = last.flatten(1, -2) @ rows.transpose(1, 2)
        images = product.view(last.shape).movedim(-1, axis + 2)
    return images


def _blur_matrix(side: int, sigma: Tensor) -> Tensor:
    """[n, side, side]. What a Gaussian gives to voxels beyond the border goes to their mirror images."""
    voxel = torch.arange(side, device=sigma.device, dtype=torch.float32)
    new, old = voxel[:, None], voxel
    distances = torch.stack([new - old, new + old, 2.0 * (side - 1) - new - old])
    weights = (-0.5 * (distances / sigma[:, None, None, None]).square()).exp()
    weights[:, 1, :, 0] = 0.0  # the outermost voxels are their own mirror images
    weights[:, 2, :, -1] = 0.0
    matrix = weights.sum(1)
    return matrix / matrix.sum(2, keepdim=True)


def _low_resolution_matrix(side: int, shares: Tensor) -> Tensor:
    """[n, side, side]. Each row mixes the four coarse voxels around a fine one; each is a fine voxel of before."""
    coarse = (side * shares).round().clamp(min=1.0)[:, None]  # [n, 1] voxels
    voxel = torch.arange(side, device=shares.device, dtype=torch.float32)
    place = (voxel + 0.5) * coarse / side - 0.5  # [n, side], in coarse voxels
    matrix = torch.zeros((), device=shares.device)
    for tap in (-1, 0, 1, 2):
        neighbour = place.floor() + tap
        kept = neighbour.clamp(min=0.0).minimum(coarse - 1.0)  # beyond the border the outermost one
        fine = ((kept + 0.5) * side / coarse).floor()
        matrix = matrix + _cubic((place - neighbour).abs())[:, :, None] * (fine[:, :, None] == voxel)
    return matrix


def _cubic(distance: Tensor) -> Tensor:
    near = ((CUBIC + 2.0) * distance - (CUBIC + 3.0)) * distance.square() + 1.0
    far = CUBIC * (((distance - 5.0) * distance + 8.0) * distance - 4.0)
    return torch.where(distance <= 1.0, near, far)
