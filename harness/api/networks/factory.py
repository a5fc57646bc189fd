"""Networks by task: every method asks here, so that equal names mean equal networks."""

from __future__ import annotations

from harness.api.networks.backbone import Backbone, Decoder
from harness.api.networks.unet import UNet, UNetDecoder
from harness.api.networks.vnet import VNet, VNetDecoder
from harness.api.task import Task


def backbone(task: Task) -> Backbone:
    """The network that all methods share and that is tested: the U-Net of slices, the V-Net of patches.

    Call it before anything else that draws random numbers. Equal seeds then give equal initial weights across methods.

    Args:
        task: Its dimension, channels and classes decide the network's shape.

    Returns:
        A network [N, channels, *size] -> logits [N, n_classes, *size], on the CPU, each side a multiple of 16.
    """
    if task.dimension == 2:
        return UNet(task.channels, task.n_classes)
    return VNet(task.channels, task.n_classes)


def second_decoder(task: Task) -> Decoder:
    """A decoder for the encoder of `backbone` that upsamples the other way, as MC-Net's second one does.

    Args:
        task: As for `backbone`.

    Returns:
        A decoder: encoder maps, fine to coarse -> logits [N, n_classes, *size].
    """
    if task.dimension == 2:
        return UNetDecoder(task.n_classes, upsampling="transposed")
    return VNetDecoder(task.n_classes, upsampling="trilinear")
