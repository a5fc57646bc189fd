import pytest
import torch
from torch import nn

from harness.api.networks import UpBlock, backbone, doubling
from methods.mc_net import SharedEncoder
from tests.methods.tiny import TASK, TASK_3D, parameters

both_dimensions = pytest.mark.parametrize("task", [TASK, TASK_3D], ids=["2D", "3D"])


@pytest.mark.parametrize(
    ("task", "decoders", "count"), [(TASK, 2, 2_577_624), (TASK_3D, 2, 12_347_716), (TASK_3D, 3, 15_246_566)]
)
def test_parameter_counts_are_the_published_ones(task, decoders, count):
    net = SharedEncoder(task, decoders)
    own = 1_813_764 if task is TASK else 9_448_866
    assert (parameters(net), parameters(net.backbone), parameters(backbone(task))) == (count, own, own)


def test_dropout_grows_down_the_encoder_and_is_absent_from_decoders():
    def rates(module):
        return [m.p for m in module.modules() if isinstance(m, nn.Dropout)]

    net = SharedEncoder(TASK)
    assert rates(net.backbone.encoder) == [0.05, 0.1, 0.2, 0.3, 0.5]
    assert rates(net.backbone.decoder) == rates(net.others[0]) == [0.0] * 4


def test_bilinear_upsampling_aligns_corners():
    up = UpBlock(1, 1, "bilinear").up
    for p in up.parameters():
        p.data.fill_(float(p.ndim > 1))  # weight 1, bias 0
    doubled = up(torch.tensor([[[[0.0, 3.0], [6.0, 9.0]]]]))
    assert doubled[0, 0].tolist() == [pytest.approx([r * 2.0 + c for c in range(4)], abs=1e-5) for r in range(4)]


@both_dimensions
def test_mc_net_shares_encoder_and_first_decoder_with_its_backbone(task):
    net = SharedEncoder(task, decoders=3).eval()
    images = torch.rand(1, 1, *(32, 16, 16)[: task.dimension])
    first, second, third = net(images)
    assert torch.equal(first, net.backbone(images))
    assert first.shape == second.shape == third.shape
    assert not torch.allclose(first, second)
    assert not torch.allclose(first, third)


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
