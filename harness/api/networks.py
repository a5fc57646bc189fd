"""The networks that methods share: the field's 2D U-Net and 3D V-Net, each an encoder and a decoder to recombine.

Heads that look inside a network read `Encoder` and `Decoder` alone, so that they fit slices and patches alike.

U-Net: Ronneberger et al., MICCAI 2015, in the form that semi-supervised papers on ACDC share: 16 to 256 channels, batch
normalisation, LeakyReLU, dropout in the encoder alone, torch's default initialisation. 1,813,764 parameters from 1
channel to 4 classes.

V-Net: Milletari et al., 3DV 2016, in the form that semi-supervised papers on the left atrium share: 16 to 256 channels,
batch normalisation, ReLU, skips by addition, no residual within a level, whole channels dropped at the bottleneck and
before the logits, torch's default initialisation. 9,448,866 parameters from 1 channel to 2 classes.
"""

from abc import abstractmethod
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.layers import Doubling, Dropout, concatenate

WIDTHS = (16, 32, 64, 128, 256)
"""Channels of the encoder's maps, fine to coarse; each map has half the resolution of the one before."""
UNET_DROPOUT = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Of the encoder's levels."""
VNET_CONVOLUTIONS = (1, 2, 3, 3, 3)
"""Of the encoder's levels; the decoder's are the same."""
VNET_DROPOUT = 0.5


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


class ConvBlock(nn.Sequential):
    """conv3x3, BN, LeakyReLU, dropout, conv3x3, BN, LeakyReLU: [N, inputs, H, W] -> [N, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(inplace=True),
            Dropout(dropout),
            nn.Conv2d(outputs, outputs, kernel_size=3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(inplace=True),
        )


class UNetEncoder(Encoder):
    """Five levels of `ConvBlock`, halved in between by 2x2 max pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = ConvBlock(channels, WIDTHS[0], UNET_DROPOUT[0])
        self.levels = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), ConvBlock(above, below, dropout))
            for (above, below), dropout in zip(pairwise(WIDTHS), UNET_DROPOUT[1:], strict=True)
        )


class UpBlock(nn.Module):
    """Doubles the resolution, halves the channels, and merges with the encoder's map of that level.

    bilinear:   1x1 convolution, then x2 with aligned corners.
    transposed: one 2x2 transposed convolution of stride 2.
    nearest:    1x1 convolution, then each pixel four times.
    """

    def __init__(self, inputs: int, outputs: int, upsampling: Literal["bilinear", "transposed", "nearest"]) -> None:
        super().__init__()
        self.up: nn.Module
        if upsampling == "transposed":
            self.up = Doubling(inputs, outputs)
        else:
            aligned = True if upsampling == "bilinear" else None
            resize = nn.Upsample(scale_factor=2, mode=upsampling, align_corners=aligned)
            self.up = nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=1), resize)
        self.block = ConvBlock(2 * outputs, outputs, dropout=0.0)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """[N, inputs, h, w] and [N, outputs, 2h, 2w] -> [N, outputs, 2h, 2w]."""
        merged: Tensor = self.block(concatenate(skip, self.up(coarse)))
        return merged


class UNetDecoder(Decoder):
    """Four `UpBlock`s and a final conv3x3 from the encoder's maps to logits; its first map is the bottleneck."""

    channels = WIDTHS[::-1]

    def __init__(self, n_classes: int, upsampling: Literal["bilinear", "transposed", "nearest"] = "bilinear") -> None:
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


def activated(convolution: nn.Conv3d | nn.ConvTranspose3d, *before: nn.Module) -> nn.Sequential:
    """What comes before, the convolution, BN, ReLU."""
    return nn.Sequential(*before, convolution, nn.BatchNorm3d(convolution.out_channels), nn.ReLU(inplace=True))


def level(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """`count` times conv3x3x3, BN, ReLU: [N, inputs, X, Y, Z] -> [N, outputs, X, Y, Z]."""
    widths = (inputs, *(outputs,) * count)
    return nn.Sequential(*(activated(nn.Conv3d(a, b, kernel_size=3, padding=1)) for a, b in pairwise(widths)))


def doubling(inputs: int, outputs: int, upsampling: Literal["transposed", "trilinear", "nearest"]) -> nn.Sequential:
    """Twice the resolution, then BN and ReLU.

    transposed: one 2x2x2 transposed convolution of stride 2.
    trilinear:  x2 with aligned corners, then a conv3x3x3 at the new size, more work than the rest of its level.
    nearest:    each voxel eight times, then that convolution.
    """
    if upsampling == "transposed":
        return activated(nn.ConvTranspose3d(inputs, outputs, kernel_size=2, stride=2))
    aligned = True if upsampling == "trilinear" else None
    resize = nn.Upsample(scale_factor=2, mode=upsampling, align_corners=aligned)
    return activated(nn.Conv3d(inputs, outputs, kernel_size=3, padding=1), resize)


class VNetEncoder(Encoder):
    """Five levels of convolutions, halved in between; channels of the last are dropped whole."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, *rest = VNET_CONVOLUTIONS
        self.stem = level(channels, WIDTHS[0], first)
        pairs = zip(pairwise(WIDTHS), rest, strict=True)
        below = [
            nn.Sequential(activated(nn.Conv3d(fine, coarse, kernel_size=2, stride=2)), level(coarse, coarse, count))
            for (fine, coarse), count in pairs
        ]
        below[-1].append(nn.Dropout3d(VNET_DROPOUT))
        self.levels = nn.ModuleList(below)


class VNetDecoder(Decoder):
    """Four times: double, add the encoder's map, convolve; then drop whole channels and map to logits.

    Its maps are the four sums and what the last level makes of the last one.
    """

    channels = (*WIDTHS[-2::-1], WIDTHS[0])

    def __init__(
        self, n_classes: int, upsampling: Literal["transposed", "trilinear", "nearest"] = "transposed"
    ) -> None:
        super().__init__()
        self.ups = nn.ModuleList(doubling(below, above, upsampling) for below, above in pairwise(reversed(WIDTHS)))
        widths = zip(WIDTHS[-2::-1], VNET_CONVOLUTIONS[-2::-1], strict=True)
        self.levels = nn.ModuleList(level(width, width, count) for width, count in widths)
        self.head = nn.Sequential(nn.Dropout3d(VNET_DROPOUT), nn.Conv3d(WIDTHS[0], n_classes, kernel_size=1))

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        """Encoder maps, fine to coarse -> five decoder maps, coarse to fine, 128 to 16 channels, the last two of 16."""
        *skips, current = features
        maps = []
        for up, skip, convolve in zip(self.ups, reversed(skips), self.levels, strict=True):
            maps.append(up(current) + skip)
            current = convolve(maps[-1])
        return [*maps, current]


def backbone(task: Task) -> Backbone:
    """The network that all methods share and that is tested: the U-Net of slices, the V-Net of patches, on the CPU.

    Images [N, channels, *size], each side a multiple of 16 -> logits [N, n_classes, *size]. Call it before anything
    else that draws random numbers: equal seeds then give equal initial weights across methods.
    """
    if task.dimension == 2:
        return Backbone(UNetEncoder(task.channels), UNetDecoder(task.n_classes))
    return Backbone(VNetEncoder(task.channels), VNetDecoder(task.n_classes))


def second_decoder(task: Task) -> Decoder:
    """A decoder for `backbone`'s encoder that upsamples the other way, as MC-Net's second one does.

    Encoder maps, fine to coarse -> logits [N, n_classes, *size].
    """
    if task.dimension == 2:
        return UNetDecoder(task.n_classes, upsampling="transposed")
    return VNetDecoder(task.n_classes, upsampling="trilinear")


def third_decoder(task: Task) -> Decoder:
    """As `second_decoder`, but repeating pixels where others interpolate, as MC-Net+'s third one."""
    kind = UNetDecoder if task.dimension == 2 else VNetDecoder
    return kind(task.n_classes, upsampling="nearest")
