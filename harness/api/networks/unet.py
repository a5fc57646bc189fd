"""The field's 2D U-Net, in pieces that methods can recombine: an encoder, a decoder, and the two together.

Ronneberger et al., MICCAI 2015, in the form that semi-supervised papers on ACDC share: 16 to 256 channels, batch
normalisation, LeakyReLU, dropout in the encoder alone, torch's default initialisation. 1,813,764 parameters from 1
channel to 4 classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from harness.api.networks.backbone import WIDTHS, Backbone, Decoder, Encoder

ENCODER_DROPOUT = (0.05, 0.1, 0.2, 0.3, 0.5)

Upsampling = Literal["bilinear", "transposed"]


class ConvBlock(nn.Sequential):
    """conv3x3, BN, LeakyReLU, dropout, conv3x3, BN, LeakyReLU: [N, inputs, H, W] -> [N, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(outputs, outputs, kernel_size=3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(inplace=True),
        )


class UNetEncoder(Encoder):
    """Five levels of `ConvBlock`, halved in between by 2x2 max pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = ConvBlock(channels, WIDTHS[0], ENCODER_DROPOUT[0])
        self.levels = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), ConvBlock(above, below, dropout))
            for (above, below), dropout in zip(pairwise(WIDTHS), ENCODER_DROPOUT[1:], strict=True)
        )


class UpBlock(nn.Module):
    """Doubles the resolution, halves the channels, and merges with the encoder's map of that level.

    bilinear:   1x1 convolution, then x2 with aligned corners.
    transposed: one 2x2 transposed convolution of stride 2.
    """

    def __init__(self, inputs: int, outputs: int, upsampling: Upsampling) -> None:
        super().__init__()
        self.up: nn.Module
        if upsampling == "bilinear":
            resize = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.up = nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=1), resize)
        else:
            self.up = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        self.block = ConvBlock(2 * outputs, outputs, dropout=0.0)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """[N, inputs, h, w] and [N, outputs, 2h, 2w] -> [N, outputs, 2h, 2w]."""
        merged: Tensor = self.block(torch.cat((skip, self.up(coarse)), dim=1))
        return merged


class UNetDecoder(Decoder):
    """Four `UpBlock`s and a final conv3x3 from the encoder's maps to logits; its first map is the bottleneck."""

    channels: ClassVar[tuple[int, ...]] = WIDTHS[::-1]

    def __init__(self, n_classes: int, upsampling: Upsampling = "bilinear") -> None:
        super().__init__()
        self.ups = nn.ModuleList(UpBlock(below, above, upsampling) for below, above in pairwise(reversed(WIDTHS)))
        self.head = nn.Conv2d(WIDTHS[0], n_classes, kernel_size=3, padding=1)

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        """Encoder maps, fine to coarse -> five decoder maps, coarse to fine, 256 to 16 channels, bottleneck first."""
        *skips, bottleneck = features
        maps = [bottleneck]
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            maps.append(up(maps[-1], skip))
        return maps


class UNet(Backbone):
    """Encoder and bilinear decoder."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__(UNetEncoder(channels), UNetDecoder(n_classes))
