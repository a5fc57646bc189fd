"""Augmentation of nnU-Net's strength (Isensee et al., Nature Methods 2021), batched on the device, in 2D and 3D.

In this order, each with a chance of its own for each image:

    rotation         20 %  uniform in +-180 degrees; +-15 where one side of a slice is over 1.5 times the other.
                           3D: +-30 about all three axes; +-180 in plane alone where the longer side of the plane is
                           over three times the patch's depth, its last side
    scale            20 %  the image is read in steps of U(0.7, 1.4), along the axes that turn
    noise            10 %  Gaussian of variance U(0, 0.1)
    blur             20 %  Gaussian of sigma U(0.5, 1) voxels, one for each axis
    brightness       15 %  x U(0.75, 1.25)
    contrast         15 %  x U(0.75, 1.25) about the image's mean, clipped to its range
    low resolution   25 %  to a share U(0.5, 1) by nearest voxels, back by cubic convolution, along the axes that turn
    inverted gamma   10 %  of the negative, exponent U(0.7, 1.5), mean and deviation kept
    gamma            30 %  exponent U(0.7, 1.5), mean and deviation kept
    mirroring        50 %  for every axis

Rotation, scale and mirroring are one resampling in native proportions: images linearly, labels by the nearest voxel.
Noise, brightness and what lies outside of a scan (its mean) are those of a scan of zero mean and unit variance, as
nnU-Net's are; the other transforms do not depend on its scale. So images stay on the scale on which they are predicted.

nnU-Net's code (batchgeneratorsv2) differs from what it says, and from this: it takes the drawn variance for a standard
deviation; blur and low resolution leave out half of the channels, which halves their chance for one channel; low
resolution comes back linearly, not by a cubic, as in its first version; half of the factors and exponents lie below 1;
labels are interpolated class by class. It mirrors last, from larger patches that it crops, a third of them around
foreground; here whole slices, or patches at random, are what the engine trains on.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from harness.data.intensity import blur, change_contrast, change_gamma, lower_resolution, per_image


class Chance(NamedTuple):
    """How often an image is changed, and the range of its uniform strength."""

    probability: float
    low: float
    high: float


SCALE = Chance(0.2, 0.7, 1.4)
NOISE_VARIANCE = Chance(0.1, 0.0, 0.1)
BLUR_SIGMA = Chance(0.2, 0.5, 1.0)
BRIGHTNESS = Chance(0.15, 0.75, 1.25)
CONTRAST = Chance(0.15, 0.75, 1.25)
RESOLUTION = Chance(0.25, 0.5, 1.0)
INVERTED_GAMMA = Chance(0.1, 0.7, 1.5)
GAMMA = Chance(0.3, 0.7, 1.5)
ROTATED = 0.2
MIRRORED = 0.5
OBLONG = 1.5
"""Sides of a slice whose ratio is larger than this are not turned far."""
FLAT = 3.0
"""A patch whose plane is more than this many times longer than its depth turns in plane alone."""


class Switch(NamedTuple):
    """One transform of n images: on, [n] bool; strength, [n] or [n, D], drawn for those that are off too."""

    on: Tensor
    strength: Tensor


class Intensities(NamedTuple):
    """Draws for n images. normal: [n, 1, *size], of the noise."""

    noise: Switch
    normal: Tensor
    blur: Switch
    brightness: Switch
    contrast: Switch
    resolution: Switch
    inverted_gamma: Switch
    gamma: Switch


def turning_axes(size: tuple[int, ...]) -> tuple[int, ...]:
    """Axes that turn, scale and lose resolution: all, or the plane of a flat patch."""
    return (0, 1) if len(size) == 3 and max(size[:2]) > FLAT * size[2] else tuple(range(len(size)))


def largest_angle(size: tuple[int, ...]) -> float:
    """Degrees, in either direction."""
    if len(turning_axes(size)) == 3:
        return 30.0
    return 15.0 if len(size) == 2 and max(size) > OBLONG * min(size) else 180.0


def draw_switch(
    chance: Chance, count: int, generator: torch.Generator, device: torch.device, values: tuple[int, ...] = ()
) -> Switch:
    """Whether each of `count` images is changed, and its strength, of shape [count, *values]."""
    on = torch.rand(count, generator=generator, device=device) < chance.probability
    strength = torch.rand(count, *values, generator=generator, device=device)
    return Switch(on, chance.low + (chance.high - chance.low) * strength)


def draw_maps(aspects: Tensor, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw [n, D, D] linear maps from a patch's voxels to the scan's, both from their centres.

    aspects: [n], width over height of what a voxel at training size covers in the plane of the first two axes.
    """
    count, device, dimension = len(aspects), aspects.device, len(size)
    axes, limit = turning_axes(size), math.radians(largest_angle(size))
    planes = ((1, 2), (0, 2), (0, 1)) if len(axes) == 3 else ((0, 1),)
    turned = draw_switch(Chance(ROTATED, -limit, limit), count, generator, device, (len(planes),))
    angles = torch.where(turned.on[:, None], turned.strength, 0.0)
    zoomed = draw_switch(SCALE, count, generator, device)
    scale = torch.where(zoomed.on, zoomed.strength, 1.0)
    mirrored = torch.rand(count, dimension, generator=generator, device=device) < MIRRORED
    native = torch.ones(count, dimension, device=device)
    native[:, 1] = aspects
    maps = torch.diag_embed(torch.where(mirrored, -1.0, 1.0) * native)
    for (i, j), angle in zip(planes, angles.unbind(1), strict=True):
        maps = _rotation(dimension, i, j, angle) @ maps
    steps = torch.stack([scale if axis in axes else torch.ones_like(scale) for axis in range(dimension)], 1)
    return maps * (steps / native)[:, :, None]


def _rotation(dimension: int, i: int, j: int, angle: Tensor) -> Tensor:
    """[n, D, D] in the plane of axes i and j."""
    rotation = torch.eye(dimension, device=angle.device).repeat(len(angle), 1, 1)
    rotation[:, i, i] = rotation[:, j, j] = angle.cos()
    rotation[:, i, j], rotation[:, j, i] = -angle.sin(), angle.sin()
    return rotation


def draw_intensities(
    count: int, size: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> Intensities:
    """Draws for `count` images, made on the device."""

    def switch(chance: Chance, *values: int) -> Switch:
        return draw_switch(chance, count, generator, device, values)

    return Intensities(
        noise=switch(NOISE_VARIANCE),
        normal=torch.randn(count, 1, *size, generator=generator, device=device),
        blur=switch(BLUR_SIGMA, len(size)),
        brightness=switch(BRIGHTNESS),
        contrast=switch(CONTRAST),
        resolution=switch(RESOLUTION),
        inverted_gamma=switch(INVERTED_GAMMA),
        gamma=switch(GAMMA),
    )


def change_intensities(images: Tensor, draws: Intensities, means: Tensor, deviations: Tensor) -> Tensor:
    """Apply draws to images [n, 1, *size]; an image with all switches off keeps every bit.

    means, deviations: [n], of the scan that each image is of.
    """

    def choose(switch: Switch, changed: Tensor) -> Tensor:
        return torch.where(per_image(switch.on, images), changed, images)

    deviation = per_image(draws.noise.strength.sqrt() * deviations, images)
    images = choose(draws.noise, images + deviation * draws.normal)
    images = choose(draws.blur, blur(images, draws.blur.strength))
    mean = per_image(means, images)
    images = choose(draws.brightness, mean + (images - mean) * per_image(draws.brightness.strength, images))
    images = choose(draws.contrast, change_contrast(images, draws.contrast.strength))
    axes = turning_axes(tuple(images.shape[2:]))
    images = choose(draws.resolution, lower_resolution(images, draws.resolution.strength, axes))
    images = choose(draws.inverted_gamma, -change_gamma(-images, draws.inverted_gamma.strength))
    return choose(draws.gamma, change_gamma(images, draws.gamma.strength))
