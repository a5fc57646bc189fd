"""Convolutions whose gradients torch computes wrongly, found while a run warms up."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from harness.api.errors import UsageError
from harness.records.schema import Engine


@contextmanager
def refuse_unsound_convolutions(method: nn.Module, engine: Engine, device: torch.device) -> Iterator[None]:
    """While the block runs, refuse maps for which a CPU gives wrong weight gradients in bfloat16.

    torch 2.13 (oneDNN 3.12): a 3x3x3 convolution with padding 1 of a map whose first axis is 2 has weight gradients of
    up to 1e36, or NaN, without an error; other sizes, other kernels and gradients of the map are right. A V-Net comes
    to such maps from patches whose first side is 16 or 32.

    Raises:
        UsageError: A layer that trains was given such a map.
    """

    def check(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Conv3d)
        trains = torch.is_grad_enabled() and layer.weight.requires_grad
        if trains and layer.kernel_size[0] == 3 and given[0].shape[2] == 2:
            raise UsageError(
                f"engine.precision: bfloat16 gives wrong gradients on a CPU for maps of {tuple(given[0].shape[2:])} "
                "voxels, two along their first axis; take float32, or another first side in preprocessing.size"
            )

    if device.type != "cpu" or engine.precision != "bfloat16":
        yield
        return
    layers = [layer for layer in method.modules() if isinstance(layer, nn.Conv3d)]
    hooks = [layer.register_forward_pre_hook(check) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
