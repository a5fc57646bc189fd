import math

import pytest
import torch
from torch import nn

from harness.api.networks import UpBlock, backbone, doubling
from methods.dtc import DualTask
from methods.mc_net import SharedEncoder
from tests.methods.tiny import TASK, TASK_3D, no_dropout, parameters


@pytest.mark.parametrize(
    ("task", "count", "answers"),
    [(TASK, 3_210_924, (0.42542, 0.34910, 0.44256)), (TASK_3D, 15_246_566, (0.32210, 0.45327, 0.49356))],
    ids=["2D", "3D"],
)
def test_networks_are_the_published_ones(task, count, answers):
    """By number of parameters, and by the spread of each decoder's answers, which pins what layers do."""
    torch.manual_seed(0)
    net = no_dropout(SharedEncoder(task, 3))
    assert parameters(net) == count
    images = torch.linspace(0, 9, 2 * math.prod(task.size)).sin().view(2, 1, *task.size)
    assert [answer.std().item() for answer in net(images)] == pytest.approx(answers, rel=1e-3)


def test_dropout_grows_down_the_encoder_and_is_absent_from_decoders():
    def rates(module, kind=nn.Dropout):
        return [m.p for m in module.modules() if isinstance(m, kind)]

    net = SharedEncoder(TASK)
    assert rates(net.backbone.encoder) == [0.05, 0.1, 0.2, 0.3, 0.5]
    assert rates(net.backbone.decoder) == rates(net.others[0]) == [0.0] * 4
    volumes = backbone(TASK_3D)
    *_, last = volumes.encoder.modules()
    assert isinstance(last, nn.Dropout3d)
    parts = volumes.encoder, volumes.decoder.head, DualTask(TASK_3D).head
    assert [rates(part, nn.Dropout3d) for part in parts] == [[0.5]] * 3


def test_bilinear_upsampling_aligns_corners():
    up = UpBlock(1, 1, "bilinear").up
    for p in up.parameters():
        p.data.fill_(float(p.ndim > 1))  # weight 1, bias 0
    doubled = up(torch.tensor([[[[0.0, 3.0], [6.0, 9.0]]]]))
    assert doubled[0, 0].tolist() == [pytest.approx([r * 2.0 + c for c in range(4)], abs=1e-5) for r in range(4)]


def test_trilinear_upsampling_aligns_corners_before_it_convolves():
    up = doubling(1, 1, "trilinear").eval()
    resize, convolution = up[0], up[1]
    assert isinstance(convolution, nn.Conv3d)
    assert convolution.kernel_size == (3, 3, 3)
    corners = torch.tensor([[[[[0.0, 3.0], [6.0, 9.0]], [[12.0, 15.0], [18.0, 21.0]]]]])
    expected = [[[4.0 * x + 2.0 * y + z for z in range(4)] for y in range(4)] for x in range(4)]
    torch.testing.assert_close(resize(corners)[0, 0], torch.tensor(expected))
