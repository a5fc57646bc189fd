"""Networks by task: every method asks here, so that equal names mean equal networks."""

from __future__ import annotations

from harness.api.networks.backbone import Backbone, Decoder
from harness.api.networks.unet import UNet, UNetDecoder
from harness.api.networks.vnet import VNet, VNetDecoder
from harness.api.task import Task


def backbone(task: Task) -> Backbone:
    """The network that all methods share and that is tested: the U-Net of slices, the V-Net of patches.

    Call it before anything else that draws random numbers: equal seeds then give equal initial weights across methods.
    """
    if task.dimension == 2:
        return UNet(task.channels, task.n_classes)
    return VNet(task.channels, task.n_classes)


def second_decoder(task: Task) -> Decoder:
    """A decoder for `backbone` that upsamples the other way: MC-Net's second."""
    if task.dimension == 2:
        return UNetDecoder(task.n_classes, upsampling="transposed")
    return VNetDecoder(task.n_classes, upsampling="trilinear")
