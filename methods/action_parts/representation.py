"""The representation head, and its features of single pixels without a map of all of them.

The head is linear, so a pixel's feature is a sum over the decoder's maps, and each map takes the cheaper of two ways:
    patches  gather the pixel's 3x3 neighbourhood, then project it
    tables   project the map's cells once for each place in a neighbourhood, then gather: for a map of few cells
"""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction, FunctionCtx, once_differentiable

from methods.action_parts.arithmetic import single, unrounded
from methods.action_parts.patches import NEIGHBOURS, MapPatches, Patches

CHUNK = 4096
"""Pixels at a time where no gradient is wanted: 73 MB of 2D patches of 496 channels, 113 of 3D ones of 256."""


class RepresentationHead(nn.Module):
    """conv3x3 channels -> hidden and conv1x1 hidden -> features, without bias, as linear maps of patches.

    channels: sum over the decoder's maps (496 in 2D). `Patches` says how a patch is laid out.
    """

    def __init__(self, channels: int = 496, dimension: int = 2, hidden: int = 512, features: int = 128) -> None:
        super().__init__()
        self.wide = nn.Linear(NEIGHBOURS**dimension * channels, hidden, bias=False)
        self.narrow = nn.Linear(hidden, features, bias=False)

    def kernel(self) -> Tensor:
        """Both layers as one matrix [patch, features].

        For the 2D sizes the product costs 0.29 G multiply-adds and saves 1.78 M a patch: from 164 patches on it pays.
        """
        return (self.narrow.weight @ self.wide.weight).t()


class SampledFeatures:
    """A head's features of a batch's decoder maps, computed only where they are asked for.

    Equal to the head on the upsampled maps. Gradients reach maps and head; call under `torch.no_grad` for targets.
    """

    def __init__(self, head: RepresentationHead, maps: Sequence[Tensor]) -> None:
        self.patches = Patches(maps)
        self.kernel = head.kernel()
        self.kernels = self.kernel.split([features.width for features in self.patches.maps])
        self.tables: dict[MapPatches, Tensor] = {}

    def at(self, positions: Tensor) -> Tensor:
        """Pixel numbers n x pixels + p, [...] -> [..., features]."""
        if torch.is_grad_enabled():
            return self._project(positions)
        if positions.numel() > self.patches.count:  # more draws than pixels: each pixel once
            return self._chunks(torch.arange(self.patches.count, device=positions.device))[positions]
        return self._chunks(positions.flatten()).view(*positions.shape, -1)

    @torch.no_grad()
    def means(self, masks: Tensor) -> Tensor:
        """Mean feature of each set of pixels, [K, N pixels] bool -> [K, features]: the feature of the mean patch."""
        with unrounded(masks):
            return self.patches.means(masks) @ single(self.kernel)

    def _chunks(self, positions: Tensor) -> Tensor:
        return torch.cat([self._project(some) for some in positions.split(CHUNK)])

    def _project(self, positions: Tensor) -> Tensor:
        image, coordinates = self.patches.places(positions.flatten())
        parts = []
        for features, kernel in zip(self.patches.maps, self.kernels, strict=True):
            table = self._table(features, kernel, len(image))
            if table is None:
                parts.append(features.at(image, coordinates) @ kernel)
                continue
            cells, weights = features.taps(image, coordinates)
            rows = cells.unsqueeze(1) * table.shape[1] + torch.arange(table.shape[1], device=cells.device).unsqueeze(1)
            picked = (rows.flatten(1).int(), weights.flatten(1))
            parts.append(_WeightedSums.apply(table.flatten(0, 1), *picked))  # type: ignore[no-untyped-call]
        total: Tensor = reduce(torch.add, parts)
        return total.view(*positions.shape, -1)

    def _table(self, features: MapPatches, kernel: Tensor, pixels: int) -> Tensor | None:
        """The map's cells projected, [cells, 3^d, features], once more of them were asked for than it has cells."""
        if features not in self.tables and pixels >= len(features.rows):
            by_channel = kernel.unflatten(0, (-1, features.channels)).transpose(0, 1)  # [C, 3^d, features]
            with torch.enable_grad():  # though it be made for targets
                table = single(features.rows @ by_channel.flatten(1))
                self.tables[features] = table.unflatten(1, by_channel.shape[1:])
        return self.tables.get(features)


class _WeightedSums(torch.autograd.Function):
    """sum_k w[p, k] table[row[p, k]] of a table [R, F], rows [P, K] int32, weights [P, K] -> [P, F].

    The gradient is a sum of the same kind, seen from the table, with its terms in the order of their rows. The one that
    `embedding_bag` brings along takes three times as long.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.size = len(table)  # type: ignore[attr-defined]
        return F.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = tuple(ctx.saved_tensors)
        ordered, order = rows.flatten().sort(stable=True)
        numbers = torch.arange(ctx.size, dtype=rows.dtype, device=rows.device)  # type: ignore[attr-defined]
        first = torch.searchsorted(ordered, numbers)
        shares, pixels = weights.flatten()[order], order.div(rows.shape[1], rounding_mode="floor")
        return F.embedding_bag(pixels, gradient, first, per_sample_weights=shares, mode="sum"), None, None
