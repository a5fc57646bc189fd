import pytest
import torch
from torch import nn

from harness.api.networks import VNetDecoder, doubling
from methods.mc_net import SharedEncoder
from tests.methods.tiny import TASK_3D

WIDTHS = [16, 32, 64, 128, 256]


@pytest.mark.parametrize("upsampling", ["transposed", "trilinear"])
def test_skips_are_added_and_the_sums_are_the_maps(upsampling: str):
    decoder = VNetDecoder(2, "trilinear" if upsampling == "trilinear" else "transposed").eval()
    features = [torch.rand(1, w, *(16 >> i,) * 3) for i, w in enumerate(WIDTHS)]
    maps = decoder.maps(features)
    below = features[-1]
    for found, up, convolve, skip in zip(maps[:4], decoder.ups, decoder.levels, features[3::-1], strict=True):
        assert torch.equal(found, up(below) + skip)
        below = convolve(found)
    assert torch.equal(maps[4], below)


def test_trilinear_upsampling_aligns_corners_before_it_convolves():
    up = doubling(1, 1, "trilinear").eval()
    resize, convolution = up[0], up[1]
    assert isinstance(convolution, nn.Conv3d)
    assert convolution.kernel_size == (3, 3, 3)
    corners = torch.tensor([[[[[0.0, 3.0], [6.0, 9.0]], [[12.0, 15.0], [18.0, 21.0]]]]])
    expected = [[[4.0 * x + 2.0 * y + z for z in range(4)] for y in range(4)] for x in range(4)]
    torch.testing.assert_close(resize(corners)[0, 0], torch.tensor(expected))


def test_whole_channels_are_dropped_at_the_bottleneck_and_before_the_logits_alone():
    net = SharedEncoder(TASK_3D)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout3d)] == [0.5] * 3
    torch.manual_seed(0)
    features = net.backbone.encode(torch.rand(2, 1, 32, 32, 16))
    dropped = features[-1].flatten(2).eq(0).all(2)
    assert 0.3 < dropped.float().mean() < 0.8  # half, and channels that ReLU closed
    assert features[-2].flatten(2).ne(0).any(2).float().mean() > 0.9
    assert not torch.equal(net.backbone.decoder(features), net.backbone.decoder(features))
    net.eval()
    assert torch.equal(net.backbone.decoder(features), net.backbone.decoder(features))
