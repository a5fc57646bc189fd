"""The field's 3D V-Net, in pieces that methods can recombine: an encoder, a decoder, and the two together.

Milletari et al., 3DV 2016, in the form that semi-supervised papers on the left atrium share: 16 to 256 channels, batch
normalisation, ReLU, skips by addition, no residual within a level, whole channels dropped at the bottleneck and before
the logits, torch's default initialisation. 9,448,866 parameters from 1 channel to 2 classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor, nn

from harness.api.networks.backbone import WIDTHS, Backbone, Decoder, Encoder

ENCODER_CONVOLUTIONS = (1, 2, 3, 3, 3)
DECODER_CONVOLUTIONS = (3, 3, 2, 1)
DROPOUT = 0.5

Upsampling = Literal["transposed", "trilinear"]


def activated(convolution: nn.Conv3d | nn.ConvTranspose3d, *before: nn.Module) -> nn.Sequential:
    """What comes before, the convolution, BN, ReLU."""
    return nn.Sequential(*before, convolution, nn.BatchNorm3d(convolution.out_channels), nn.ReLU(inplace=True))


def level(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """`count` times conv3x3x3, BN, ReLU: [N, inputs, X, Y, Z] -> [N, outputs, X, Y, Z]."""
    widths = (inputs, *(outputs,) * count)
    return nn.Sequential(*(activated(nn.Conv3d(a, b, kernel_size=3, padding=1)) for a, b in pairwise(widths)))


def halving(inputs: int, outputs: int) -> nn.Sequential:
    """One 2x2x2 convolution of stride 2, BN, ReLU."""
    return activated(nn.Conv3d(inputs, outputs, kernel_size=2, stride=2))


def doubling(inputs: int, outputs: int, upsampling: Upsampling) -> nn.Sequential:
    """Twice the resolution, then BN and ReLU.

    transposed: one 2x2x2 transposed convolution of stride 2.
    trilinear:  x2 with aligned corners, then a conv3x3x3 at the new size, more work than the rest of its level.
    """
    if upsampling == "transposed":
        return activated(nn.ConvTranspose3d(inputs, outputs, kernel_size=2, stride=2))
    resize = nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True)
    return activated(nn.Conv3d(inputs, outputs, kernel_size=3, padding=1), resize)


class VNetEncoder(Encoder):
    """Five levels of convolutions, halved in between; channels of the last are dropped whole."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, *rest = ENCODER_CONVOLUTIONS
        self.stem = level(channels, WIDTHS[0], first)
        pairs = zip(pairwise(WIDTHS), rest, strict=True)
        below = [nn.Sequential(halving(fine, coarse), level(coarse, coarse, count)) for (fine, coarse), count in pairs]
        below[-1].append(nn.Dropout3d(DROPOUT))
        self.levels = nn.ModuleList(below)


class VNetDecoder(Decoder):
    """Four times: double, add the encoder's map, convolve; then drop whole channels and map to logits.

    Its maps are the four sums and what the last level makes of the last one.
    """

    channels: ClassVar[tuple[int, ...]] = (*WIDTHS[-2::-1], WIDTHS[0])

    def __init__(self, n_classes: int, upsampling: Upsampling = "transposed") -> None:
        super().__init__()
        self.ups = nn.ModuleList(doubling(below, above, upsampling) for below, above in pairwise(reversed(WIDTHS)))
        widths = zip(WIDTHS[-2::-1], DECODER_CONVOLUTIONS, strict=True)
        self.levels = nn.ModuleList(level(width, width, count) for width, count in widths)
        self.head = nn.Sequential(nn.Dropout3d(DROPOUT), nn.Conv3d(WIDTHS[0], n_classes, kernel_size=1))

    def maps(self, features: list[Tensor]) -> list[Tensor]:
        """Encoder maps, fine to coarse -> five decoder maps, coarse to fine, 128 to 16 channels, the last two of 16."""
        *skips, current = features
        maps = []
        for up, skip, convolve in zip(self.ups, reversed(skips), self.levels, strict=True):
            maps.append(up(current) + skip)
            current = convolve(maps[-1])
        return [*maps, current]


class VNet(Backbone):
    """Encoder and decoder with transposed convolutions."""

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__(VNetEncoder(channels), VNetDecoder(n_classes))
