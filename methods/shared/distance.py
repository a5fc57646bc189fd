"""Exact Euclidean distances on the device: no host copy, slices and volumes alike."""

import torch
from torch import Tensor

AT_A_TIME = 2**20
"""Pixels whose distances are made together: few enough for a cache, many enough for a GPU."""


@torch.no_grad()
def signed_distances(masks: Tensor) -> Tensor:
    """How far each pixel is from the border of its mask: bool [N, *size] -> float32 in [-1, 1].

    Outside, the distance to the nearest pixel of the mask over the largest such distance; inside, minus that to the
    nearest pixel outside over the largest; 0 on the mask's own border pixels (those beside one outside), and everywhere
    where a mask is empty or the whole image.
    """
    axes = tuple(range(1, masks.ndim))
    count = max(AT_A_TIME // masks[0].numel(), 1)
    chunks = [_squared_distances(chunk).sqrt() for chunk in torch.cat((masks, ~masks)).split(count)]
    outside, inside = torch.cat(chunks).chunk(2)
    signed = outside / outside.amax(axes, keepdim=True).clamp(min=1.0)
    signed = signed - inside / inside.amax(axes, keepdim=True).clamp(min=1.0)
    divided = masks.flatten(1).any(dim=1) & ~masks.flatten(1).all(dim=1)
    return signed.masked_fill(inside == 1.0, 0.0) * divided.view(-1, *(1,) * len(axes))


def _squared_distances(sites: Tensor) -> Tensor:
    """Squared distance of each pixel to the nearest true one, bool [N, *size] -> float32; huge where there are none.

    Along one axis after another, d(i) <- min_j (d(j) + (i - j)^2) (Felzenszwalb and Huttenlocher, 2012), from one j to
    all i at once. There is no way to stop early, since a device must not be asked what it found.
    """
    huge = float(sum(length**2 for length in sites.shape[1:]) + 1)
    squared = torch.where(sites, 0.0, huge)
    for axis in range(1, sites.ndim):
        given = squared.movedim(axis, 0)
        places = torch.arange(len(given), device=sites.device, dtype=squared.dtype)
        apart = (places.unsqueeze(1) - places).square().view(*(len(given),) * 2, *(1,) * (sites.ndim - 1))
        nearest = torch.full_like(given, huge, memory_format=torch.contiguous_format)
        for start, squares in zip(given.contiguous(), apart, strict=True):
            torch.minimum(nearest, squares + start, out=nearest)
        squared = nearest.movedim(0, axis)
    return squared
