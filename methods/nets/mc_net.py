"""MC-Net's network: one encoder, two decoders that differ only in how they upsample (Wu et al., MICCAI 2021).

Version 1 of the authors' release: 2,577,624 parameters in training in 2D, 12,347,716 in 3D. The first decoder is the
backbone's own, so the network that is tested is the same as every other method's.
"""

from __future__ import annotations

from torch import Tensor, nn

from methods.nets.backbone import Backbone, Decoder


class TwoDecoders(nn.Module):
    """A backbone and a second decoder on the same encoder."""

    def __init__(self, backbone: Backbone, second: Decoder) -> None:
        super().__init__()
        self.backbone = backbone
        self.second = second

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, *size] -> the logits of both decoders, each [N, n_classes, *size]."""
        features = self.backbone.encode(images)
        return self.backbone.decoder(features), self.second(features)
