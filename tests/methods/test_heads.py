import pytest
import torch
import torch.nn.functional as F
from torch import nn

from methods.action_parts.contrast_net import GlobalProjector, LocalProjector, window_cells, window_layout
from methods.action_parts.neighbours import predictor
from tests.methods.references import window_starts


def linear(projector):
    return [layer for layer in projector.layers if isinstance(layer, nn.Linear)]


def test_global_projector_by_hand():
    projector = GlobalProjector(3, 5, 4).double()
    features = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    first, second = linear(projector)
    pooled = features.sum((2, 3)) / 24
    expected = (pooled @ first.weight.T + first.bias) @ second.weight.T + second.bias  # no non-linearity
    torch.testing.assert_close(projector(features), expected)


@pytest.mark.parametrize(
    ("size", "window", "stride", "side", "count"),
    [
        ((256, 256), (64, 64), (32, 32), 8, 49),
        ((48, 40), (12, 10), (6, 5), 8, 49),  # cells that overlap
        ((112, 112, 80), (20,) * 3, (10,) * 3, 4, 700),
        ((16, 16, 16), (2, 2, 4), (1, 1, 2), 4, 15 * 15 * 7),  # cells of a pixel, each several times
    ],
)
def test_window_cells_are_the_pooled_crops(size, window, stride, side, count):
    torch.manual_seed(1)
    logits = torch.randn(2, 3, *size, dtype=torch.float64)
    found = window_cells(logits, window, stride, side)
    assert found.shape == (2, count, side ** len(size), 3)
    corners = torch.cartesian_prod(
        *(torch.tensor(window_starts(*one)) for one in zip(size, window, stride, strict=True))
    )
    pool = F.adaptive_avg_pool2d if len(size) == 2 else F.adaptive_avg_pool3d
    for number in (0, 1, 7, count - 1):
        crop = logits[1]
        for axis, (start, length) in enumerate(zip(corners[number].tolist(), window, strict=True), start=1):
            crop = crop.narrow(axis, start, length)
        torch.testing.assert_close(found[1, number], pool(crop, side).flatten(1).t())


@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [
        ((256, 256), [64, 64], [32, 32]),
        ((96, 96), [24, 24], [12, 12]),
        ((112, 112, 80), [20, 20, 20], [10, 10, 10]),
        ((16, 16, 16), [2, 2, 4], [1, 1, 2]),
    ],
)
def test_layout_is_the_released_one_in_proportion(size, window, stride):
    assert window_layout(size) == (window, stride)


@pytest.mark.parametrize("dimension", [2, 3])
def test_local_projector_equals_pooling_and_convolutions(dimension):
    torch.manual_seed(0)
    projector = LocalProjector(3, side=4).double()
    logits = torch.randn(2, 3, *(8,) * dimension, dtype=torch.float64)
    pool = nn.AvgPool2d(2) if dimension == 2 else nn.AvgPool3d(2)
    convolve = F.conv2d if dimension == 2 else F.conv3d
    values = pool(logits)
    for layer in linear(projector):
        values = convolve(values, layer.weight.view(*layer.weight.shape, *(1,) * dimension), layer.bias)
    expected = values.flatten(2).transpose(1, 2).unsqueeze(1)
    torch.testing.assert_close(projector(logits, (8,) * dimension, (8,) * dimension), expected)
    assert predictor(3).double()(expected).shape == expected.shape
