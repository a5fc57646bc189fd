"""Layers that are quicker on a CPU than torch's own and compute the same."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`nn.Dropout` whose masks are cheap on a CPU too: torch draws its own one value at a time.

    There a value is dropped if 16 random bits, of torch's default generator, stay below a threshold, so with a
    probability of p to the nearest 1/65536. The bits become a mask by arithmetic alone: torch's kernels for booleans
    work value by value.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, *size], dense -> the same, in training with values dropped and the others divided by 1 - p."""
        if not self.training or self.p in (0.0, 1.0) or input.device.type != "cpu":
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16).as_strided(input.shape, input.stride())
        lowest_kept = round(self.p * 2**16) - 2**15
        kept = bits.clamp_(lowest_kept - 1, lowest_kept).sub_(lowest_kept - 1)
        return input * kept.to(input.dtype).mul_(1.0 / (1.0 - self.p))


class Doubling(nn.ConvTranspose2d):
    """A 2x2 transposed convolution of stride 2 whose bias has its gradient from a plain sum.

    In bfloat16 on a CPU torch takes longer over that sum than over all the rest of the backward pass.
    """

    bias: nn.Parameter

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=2, stride=2)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, 2 H, 2 W]."""
        mapped = F.conv_transpose2d(input, self.weight, self.bias.detach(), stride=2)
        result: Tensor = _BiasGradient.apply(mapped, self.bias)  # type: ignore[no-untyped-call]
        return result


class _BiasGradient(torch.autograd.Function):
    """The map [N, C, *size] as it is, with a gradient for the bias [C] that is in it already."""

    @staticmethod
    def forward(ctx: Any, biased: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401
        ctx.dtype = bias.dtype
        return biased.view_as(biased)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        return gradient, gradient.sum((0, *range(2, gradient.ndim)), dtype=ctx.dtype)


def concatenate(first: Tensor, second: Tensor) -> Tensor:
    """Channels of two maps, [N, a, *size] and [N, b, *size] -> [N, a + b, *size].

    Unlike `torch.cat` it hands back gradients without gaps between their pixels, which the backward pass of upsampling
    takes in `channels_last` alone, many times as fast, and which add up faster.
    """
    result: Tensor = _Concatenation.apply(first, second)  # type: ignore[no-untyped-call]
    return result


class _Concatenation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:  # noqa: ANN401 - torch has no type for it
        ctx.channels = first.shape[1], second.shape[1]
        return torch.cat((first, second), dim=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        return tuple(part.clone() for part in gradient.split(ctx.channels, dim=1))
