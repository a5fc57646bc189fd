"""Strong views, as ACTION and ReCo have them for medical images: colour jitter, then Gaussian blur, by chance.

    jitter  x <- clamp(b (c x + (1 - c) mean(x)), 0, 1), brightness b and contrast c each uniform in 1 +- strength
    blur    x <- G(sigma) * x, sigma uniform in [0.15, 1.15] pixels, 2 ceil(3 x 1.15) + 1 = 9 taps, mirrored at borders

Each image of a batch has its own chance, factors and sigma. Readings and deviations: saturation and hue do nothing to
grey images, so they are left out; the mean runs over all channels, without a colour image's luminance weights.
Brightness and contrast, in random order in torchvision, have none here: they commute but for a clamp in between, and
one at the end replaces the two. Black and white are 0 and 1, or the image's own darkest and brightest value where that
lies outside: an image of zero mean and unit variance is jittered as it would be after scaling to [0, 1]. Jitter before
blur, as in ReCo. Images stay floats: no trip through 8-bit levels, and a true Gaussian in place of PIL's stack of box
filters. In 3D the blur has one sigma for all axes, in voxels.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from harness.api.params import Alteration, MethodParams, hyper


@dataclass(frozen=True, slots=True)
class Strength:
    """How strong and how often; the defaults are the fine-tuning's.

    brightness, contrast: half widths of the factors about 1.
    sigma_range:          of the blur, in pixels, above 0.
    """

    brightness: float = 0.25
    contrast: float = 0.25
    jitter_probability: float = 0.5
    sigma_range: tuple[float, float] = (0.15, 1.15)
    blur_probability: float = 0.5

    @property
    def radius(self) -> int:
        """Taps on either side of the kernel's centre: three of the widest sigma."""
        return math.ceil(3 * self.sigma_range[1])


FINE_TUNING = Strength()
PRE_TRAINING = Strength(brightness=0.2, contrast=0.2)


class Draws(NamedTuple):
    """One value an image, each [N]; factors and sigmas stand for the images that are switched off too."""

    jittered: Tensor
    brightness: Tensor
    contrast: Tensor
    blurred: Tensor
    sigma: Tensor


def strong(images: Tensor, strength: Strength = FINE_TUNING) -> Tensor:
    """Make strong views of images, each by draws of its own from torch's default generator; geometry stays.

    Args:
        images: [N, C, *size].
        strength: How strong, and how often.

    Returns:
        Images of the same shape; those given stay as they are.
    """
    return augment(images, draw(len(images), strength, images.device), strength.radius)


def draw(count: int, strength: Strength, device: torch.device) -> Draws:
    """Draw what happens to `count` images, on a device, from its default generator."""
    uniform = torch.rand(5, count, device=device)
    low, high = strength.sigma_range
    return Draws(
        jittered=uniform[0] < strength.jitter_probability,
        brightness=1.0 + strength.brightness * (2.0 * uniform[1] - 1.0),
        contrast=1.0 + strength.contrast * (2.0 * uniform[2] - 1.0),
        blurred=uniform[3] < strength.blur_probability,
        sigma=low + (high - low) * uniform[4],
    )


def augment(images: Tensor, draws: Draws, radius: int) -> Tensor:
    """Apply draws to images [N, C, *size]; an image with both switches off keeps every bit.

    radius: of the blur's kernel.
    """
    jittered = jitter(images, draws.brightness, draws.contrast)
    images = torch.where(_per_image(draws.jittered, images), jittered, images)
    return torch.where(_per_image(draws.blurred, images), blur(images, draws.sigma, radius), images)


def jitter(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Scale images [N, C, *size] about their means, then about black, by factors [N]; then clamp to black and white."""
    bright, contrasted = _per_image(brightness, images), _per_image(contrast, images)
    axes = tuple(range(1, images.ndim))
    black, white = images.amin(axes, keepdim=True).clamp(max=0.0), images.amax(axes, keepdim=True).clamp(min=1.0)
    images = images - black
    mean = images.mean(dim=axes, keepdim=True)
    jittered = bright * contrasted * images + bright * (1.0 - contrasted) * mean
    return jittered.clamp(torch.zeros_like(black), white - black) + black


def blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur images [N, C, *size] by Gaussians of sigma [N] pixels, axis after axis, with 2 radius + 1 taps.

    Borders are mirrored about the outermost pixel's centre (d c b | a b c d | c b a), on axes of any length. Sums of
    shifted images: unlike a grouped convolution they are the same code in 2D and 3D and quick without a GPU.
    """
    taps = torch.arange(radius + 1, device=sigma.device)
    weights = (-0.5 * (taps / sigma.unsqueeze(1)).square()).exp()  # one side with the centre, [N, radius + 1]
    weights = weights / (2.0 * weights.sum(dim=1, keepdim=True) - 1.0)
    for axis in range(2, images.ndim):
        images = _blur_axis(images, weights, axis)
    return images


def _blur_axis(images: Tensor, weights: Tensor, axis: int) -> Tensor:
    """One axis of a blur with symmetric weights [N, radius + 1], centre first."""
    radius, length = weights.shape[1] - 1, images.shape[axis]
    period = max(2 * length - 2, 1)
    place = torch.arange(-radius, length + radius, device=images.device) % period
    padded = images.index_select(axis, torch.minimum(place, period - place))
    result = images * _per_image(weights[:, 0], images)
    for k in range(1, radius + 1):
        both = padded.narrow(axis, radius - k, length) + padded.narrow(axis, radius + k, length)
        result = result.addcmul_(both, _per_image(weights[:, k], images))
    return result


def _per_image(values: Tensor, images: Tensor) -> Tensor:
    """[N] as [N, 1, 1, ...], to be broadcast over images."""
    return values.view(-1, *(1,) * (images.ndim - 1))


class StrongParams(MethodParams):
    """The switch that lends it to a method, so that a table can tell what the rest of ACTION adds."""

    strong: bool = hyper(False, "ACTION's jitter and blur on what the trained network sees")

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What `augment` does, as a method declares it."""
        return ("altered",) if self.strong else ()

    def augment(self, images: Tensor, strength: Strength = FINE_TUNING) -> Tensor:
        """Give images as the trained network is to see them.

        Args:
            images: [N, C, *size].
            strength: How strong, and how often.

        Returns:
            Strong views where the switch is on, else the images themselves.
        """
        return strong(images, strength) if self.strong else images
