import math
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from harness.api.dataset import Task
from harness.api.layers import Dropout
from harness.api.networks import ConvBlock, UpBlock, backbone, third_decoder
from methods.mc_net import SharedEncoder
from tests.methods.tiny import TASK, TASK_3D, parameters

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
both_dimensions = pytest.mark.parametrize("task", [TASK, TASK_3D], ids=["2D", "3D"])


def giga_macs(net: nn.Module, size: tuple[int, ...]) -> float:
    """Multiply-accumulates of all convolutions for one image or patch, counted on the meta device."""
    total = 0

    def count(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, CONVOLUTIONS)
        # places that meet the whole kernel
        places = given[0] if isinstance(layer, nn.ConvTranspose2d | nn.ConvTranspose3d) else output
        total += places[0, 0].numel() * math.prod(layer.kernel_size) * layer.in_channels * layer.out_channels

    for layer in net.modules():
        if isinstance(layer, CONVOLUTIONS):
            layer.register_forward_hook(count)
    net.to("meta")(torch.empty(1, 1, *size, device="meta"))
    return total / 1e9


@pytest.mark.parametrize(
    ("task", "decoders", "count"),
    [(TASK, 2, 2_577_624), (TASK_3D, 2, 12_347_716), (TASK_3D, 3, 15_246_566)],
)
def test_parameter_counts_are_the_published_ones(task: Task, decoders: Literal[2, 3], count: int):
    net = SharedEncoder(task, decoders)
    own = 1_813_764 if task is TASK else 9_448_866
    assert (parameters(net), parameters(net.backbone), parameters(backbone(task))) == (count, own, own)


@pytest.mark.parametrize(
    ("task", "size", "costs"), [(TASK, (256, 256), (2.95, 4.93)), (TASK_3D, (112, 112, 80), (40.1, 87.8))]
)
def test_cost_is_the_published_one(task: Task, size: tuple[int, ...], costs: tuple[float, float]):
    found = giga_macs(backbone(task), size), giga_macs(SharedEncoder(task), size)
    assert found == pytest.approx(costs, abs=0.05)


def test_blocks_are_conv_bn_leaky_dropout_conv_bn_leaky():
    kinds = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU, Dropout, nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    blocks = [m for m in SharedEncoder(TASK).modules() if isinstance(m, ConvBlock)]
    assert len(blocks) == 5 + 4 + 4
    for block in blocks:
        assert [type(layer) for layer in block] == kinds
        assert [(m.eps, m.momentum) for m in block if isinstance(m, nn.BatchNorm2d)] == [(1e-5, 0.1)] * 2
        assert [m.negative_slope for m in block if isinstance(m, nn.LeakyReLU)] == [0.01] * 2


def test_dropout_grows_down_the_encoder_and_is_absent_from_decoders():
    def rates(module: nn.Module) -> list[float]:
        return [m.p for m in module.modules() if isinstance(m, nn.Dropout)]

    net = SharedEncoder(TASK)
    assert rates(net.backbone.encoder) == [0.05, 0.1, 0.2, 0.3, 0.5]
    assert rates(net.backbone.decoder) == rates(net.others[0]) == [0.0] * 4


def test_decoders_differ_only_in_their_upsampling():
    net = SharedEncoder(TASK)
    ours = [m.up for m in net.backbone.decoder.modules() if isinstance(m, UpBlock)]
    second = [m.up for m in net.others[0].modules() if isinstance(m, UpBlock)]
    assert [type(layer) for up in ours for layer in up.children()] == [nn.Conv2d, nn.Upsample] * 4
    for up in second:
        assert isinstance(up, nn.ConvTranspose2d)
        assert (up.kernel_size, up.stride) == ((2, 2), (2, 2))


def test_bilinear_upsampling_aligns_corners():
    up = UpBlock(1, 1, "bilinear").up
    for p in up.parameters():
        p.data.fill_(float(p.ndim > 1))  # weight 1, bias 0
    doubled = up(torch.tensor([[[[0.0, 3.0], [6.0, 9.0]]]]))
    assert doubled[0, 0].tolist() == [pytest.approx([r * 2.0 + c for c in range(4)], abs=1e-5) for r in range(4)]


def test_skips_come_first_in_the_concatenation():
    block = UpBlock(2, 1, "bilinear")
    seen: list[Tensor] = []
    block.block.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    skip = torch.rand(2, 1, 4, 4)
    block(torch.rand(2, 2, 2, 2), skip)
    assert seen[0].shape == (2, 2, 4, 4)
    assert torch.equal(seen[0][:, :1], skip)


def test_features_and_maps_have_the_stated_shapes():
    net = backbone(TASK).eval()
    images = torch.rand(2, 1, 32, 48)
    features = net.encode(images)
    shapes = [(2, 16, 32, 48), (2, 32, 16, 24), (2, 64, 8, 12), (2, 128, 4, 6), (2, 256, 2, 3)]
    assert [tuple(f.shape) for f in features] == shapes
    maps = net.decoder.maps(features)
    assert [tuple(m.shape) for m in maps] == shapes[::-1]
    assert torch.equal(net.decoder.head(maps[-1]), net(images))
    assert net(images).shape == (2, 4, 32, 48)


@both_dimensions
def test_mc_net_shares_encoder_and_first_decoder_with_its_backbone(task: Task):
    net = SharedEncoder(task, decoders=3).eval()
    images = torch.rand(1, 1, *(32, 16, 16)[: task.dimension])
    first, second, third = net(images)
    assert torch.equal(first, net.backbone(images))
    assert first.shape == second.shape == third.shape
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, third)


@both_dimensions
def test_the_third_decoder_repeats_pixels_and_mixes_channels_with_a_convolution(task: Task):
    decoder = third_decoder(task)
    resizes = [module for module in decoder.modules() if isinstance(module, nn.Upsample)]
    assert [(each.mode, each.scale_factor, each.align_corners) for each in resizes] == [("nearest", 2.0, None)] * 4


@both_dimensions
def test_logits_are_float32_under_autocast(task: Task):
    net, images = backbone(task), torch.rand(2, 1, *(32, 32, 16)[: task.dimension])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net.decoder.maps(net.encode(images))[-2].dtype == torch.bfloat16
        assert net(images).dtype == torch.float32


@both_dimensions
def test_initialisation_is_torchs_default(task: Task):
    for layer in backbone(task).modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            bound = 1 / math.sqrt(layer.in_channels * math.prod(layer.kernel_size))
            assert 0.8 * bound < layer.weight.abs().max() <= bound
        elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d):
            assert torch.equal(layer.weight, torch.ones_like(layer.weight))
            assert not layer.bias.any()
