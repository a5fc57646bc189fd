"""What the contrasts compute with: full precision under autocast, and random pixels of a class.

All of it stays on the device: no shape depends on the data, so nothing waits for the host.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

NEVER = -1e9
"""A logit whose softmax is exactly 0; finite, so that a row without any entry is no NaN."""


def unrounded(like: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on `like`'s device: a cosine in bfloat16 over a temperature of 0.01 is off by 0.4."""
    device = like.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def product_dtype(like: Tensor) -> torch.dtype:
    """What matrices are multiplied in: autocast's type where it is on, else that of `like`."""
    device = like.device.type
    autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if autocast else like.dtype


def single(values: Tensor) -> Tensor:
    """In float32, or float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def class_masks(labels: Tensor, n_classes: int) -> Tensor:
    """Labels [N, *size] of integers -> [n_classes, N pixels] bool; a label outside the classes is in no mask."""
    return labels.flatten() == torch.arange(n_classes, device=labels.device).unsqueeze(1)


def draw_members(masks: Tensor, sets: Tensor) -> Tensor:
    """A uniformly drawn member of a set, with replacement, for each set number: masks [K, P] bool, sets [...] -> [...].

    Members are counted along all sets, and the r-th is found by bisection. From an empty set comes some index in
    0 .. P - 1 that means nothing: give it no weight.
    """
    sizes = masks.sum(1)
    before = sizes.cumsum(0) - sizes
    ranks = torch.randint(1 << 62, sets.shape, device=masks.device) % sizes.clamp(min=1)[sets]  # bias under 1e-10
    members = torch.searchsorted(masks.flatten().cumsum(0), before[sets] + ranks + 1)
    return (members - sets * masks.shape[1]).clamp(0, masks.shape[1] - 1)


def draw_classes(probabilities: Tensor, count: int) -> Tensor:
    """Independent draws from each row's distribution [K, V] -> [K, count]; never a class of probability 0.

    A race of exponential clocks: p_v / E_v is the largest with probability p_v.
    """
    clocks = torch.empty(len(probabilities), count, probabilities.shape[1], device=probabilities.device).exponential_()
    return (probabilities.unsqueeze(1) / clocks).argmax(2)
