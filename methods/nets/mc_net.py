"""MC-Net's network: one encoder, two decoders that differ only in how they upsample (Wu et al., MICCAI 2021).

In 2D, version 1 of the authors' release: 2,577,624 parameters in training. The first decoder is the backbone's own, so
the network that is tested is the same U-Net as every other method's.
"""

from __future__ import annotations

from torch import Tensor, nn

from methods.nets.unet import Decoder, UNet


class MCNet2D(nn.Module):
    """A U-Net and a second decoder with transposed convolutions on the same encoder.

    The backbone is built first, so that for equal seeds it starts from the weights it has in every other method.
    """

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.backbone = UNet(channels, n_classes)
        self.second = Decoder(n_classes, upsampling="transposed")

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] -> the logits of both decoders, each [N, n_classes, H, W]."""
        features = self.backbone.encode(images)
        return self.backbone.decoder(features), self.second(features)
