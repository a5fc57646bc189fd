import torch
from torch import nn

from harness.api.networks import doubling
from methods.mc_net import SharedEncoder
from tests.methods.tiny import TASK_3D


def test_trilinear_upsampling_aligns_corners_before_it_convolves():
    up = doubling(1, 1, "trilinear").eval()
    resize, convolution = up[0], up[1]
    assert isinstance(convolution, nn.Conv3d)
    assert convolution.kernel_size == (3, 3, 3)
    corners = torch.tensor([[[[[0.0, 3.0], [6.0, 9.0]], [[12.0, 15.0], [18.0, 21.0]]]]])
    expected = [[[4.0 * x + 2.0 * y + z for z in range(4)] for y in range(4)] for x in range(4)]
    torch.testing.assert_close(resize(corners)[0, 0], torch.tensor(expected))


def test_dropout_stands_in_training_mode_alone():
    net = SharedEncoder(TASK_3D)
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout3d)] == [0.5] * 3
    features = net.backbone.encode(torch.rand(2, 1, 32, 32, 16))
    assert not torch.equal(net.backbone.decoder(features), net.backbone.decoder(features))
    net.eval()
    assert torch.equal(net.backbone.decoder(features), net.backbone.decoder(features))
