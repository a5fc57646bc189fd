"""Weak augmentation of the field, batched on the device: one gather for any mix of rotations and flips.

Half of the samples get a random multiple of 90 degrees and a flip, the others a whole-degree rotation in [-20, 20), as
in the ACDC loader that the literature shares; nearest neighbour for image and label alike. That loader zooms a slice
after it is turned; slices are at training size already, so the zoom is folded into the map.
"""

import math

import torch
from torch import Tensor

MAX_DEGREES = 20


def draw_maps(aspects: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """[B, 2, 2] linear maps from output to input coordinates (centred, in pixels), drawn on the device.

    aspects: [B], width over height of what a pixel at training size covers of the native image; size: (H, W).
    """
    count, device = len(aspects), aspects.device
    right_angles = (torch.randint(4, (count,), generator=generator, device=device)).float() * (math.pi / 2)
    degrees = torch.randint(-MAX_DEGREES, MAX_DEGREES, (count,), generator=generator, device=device).float()
    flip_axis = torch.randint(2, (count,), generator=generator, device=device)
    turns = torch.rand(count, generator=generator, device=device) < 0.5
    angle = torch.where(turns, right_angles, degrees * (math.pi / 180))
    cosine, sine = torch.cos(angle), torch.sin(angle)
    # cos and sin of multiples of pi/2 are not exact in float32; whole numbers keep the mapping an exact permutation
    cosine = torch.where(turns, cosine.round(), cosine)
    sine = torch.where(turns, sine.round(), sine)
    sign_y = torch.where(turns & (flip_axis == 0), -1.0, 1.0)
    sign_x = torch.where(turns & (flip_axis == 1), -1.0, 1.0)
    # a slice that is turned by a right angle is zoomed with its sides exchanged: rows become columns of the same share
    stretch = torch.where(turns, size[0] / size[1], aspects)
    row_y = torch.stack([cosine, -sine * stretch], 1) * sign_y[:, None]
    row_x = torch.stack([sine / stretch, cosine], 1) * sign_x[:, None]
    return torch.stack([row_y, row_x], 1)


def apply_maps(images: Tensor, labels: Tensor | None, maps: Tensor, grid: Tensor) -> tuple[Tensor, Tensor | None]:
    """Resample by nearest neighbour; what falls outside is 0.

    images: [B, C, H, W]; labels: [B, H, W] of any integer type or None; maps: [B, 2, 2]; grid: `centred_points`.
    """
    channels, height, width = images.shape[1:]
    source = maps @ grid
    y = (source[:, 0] + (height - 1) / 2).round().long()
    x = (source[:, 1] + (width - 1) / 2).round().long()
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    index = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    flat = images.flatten(2)
    moved = flat.gather(2, index[:, None].expand(-1, channels, -1)) * inside[:, None]
    new_images = moved.reshape(images.shape)
    if labels is None:
        return new_images, None
    new_labels = (labels.flatten(1).gather(1, index) * inside).reshape(labels.shape)
    return new_images, new_labels
