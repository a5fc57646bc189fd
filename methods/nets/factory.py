"""Networks by task: every method asks here, so that equal names mean equal networks."""

from __future__ import annotations

from harness.spec.task import Task
from methods.nets.backbone import Backbone, Decoder
from methods.nets.mc_net import TwoDecoders
from methods.nets.unet import UNet, UNetDecoder
from methods.nets.vnet import VNet, VNetDecoder


def backbone(task: Task) -> Backbone:
    """The network that all methods share and that is tested: the U-Net of slices, the V-Net of patches.

    Call it before anything else that draws random numbers: equal seeds then give equal initial weights across methods.
    """
    if task.dimension == 2:
        return UNet(task.channels, task.n_classes)
    return VNet(task.channels, task.n_classes)


def mc_net(task: Task) -> TwoDecoders:
    """`backbone` and, built after it, the decoder that upsamples the other way."""
    ours = backbone(task)
    return TwoDecoders(ours, _other_decoder(task))


def _other_decoder(task: Task) -> Decoder:
    if task.dimension == 2:
        return UNetDecoder(task.n_classes, upsampling="transposed")
    return VNetDecoder(task.n_classes, upsampling="trilinear")
