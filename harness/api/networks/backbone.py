"""What every segmentation network here is: an encoder, and a decoder from its maps to logits.

Heads that look inside a network read these alone, so that they fit the U-Net of slices and the V-Net of patches alike.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128, 256)
"""Channels of the encoder's maps, fine to coarse; each map has half the resolution of the one before."""


class Encoder(nn.Module):
    """Levels of convolutions, each at half the resolution of the one before.

    stem:   the first level, at full size; levels: the others, which halve before they convolve.
    """

    stem: nn.Module
    levels: nn.ModuleList

    def forward(self, images: Tensor) -> list[Tensor]:
        """[N, C, *size] -> five maps, fine to coarse: [N, 16, *size] to [N, 256, *size / 16] (the bottleneck)."""
        features: list[Tensor] = [self.stem(images)]
        for level in self.levels:
            features.append(level(features[-1]))
        return features


class Decoder(nn.Module):
    """From an encoder's maps, by way of maps of its own, to logits.

    channels: of its maps, coarse to fine.
    head:     from its last map, at full resolution, to logits.
    """

    channels: ClassVar[tuple[int, ...]]
    head: nn.Module

    @abstractmethod
    def maps(self, features: list[Tensor]) -> list[Tensor]:
        """Encoder maps, fine to coarse -> decoder maps [N, channels, *size], coarse to fine, the last at full size."""

    def logits(self, maps: list[Tensor]) -> Tensor:
        """Decoder maps -> logits [N, n_classes, *size], in float32 under autocast too, so that no loss is rounded."""
        logits: Tensor = self.head(maps[-1])
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Encoder maps, fine to coarse -> logits [N, n_classes, *size]."""
        return self.logits(self.maps(features))


class Backbone(nn.Module):
    """Encoder and decoder; every side of an image must be a multiple of 16."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, images: Tensor) -> list[Tensor]:
        """[N, C, *size] -> the encoder's maps, fine to coarse, as many and as wide as `WIDTHS`; bottleneck last."""
        features: list[Tensor] = self.encoder(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, *size] -> logits [N, n_classes, *size]."""
        logits: Tensor = self.decoder(self.encode(images))
        return logits
