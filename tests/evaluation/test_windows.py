import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.api import Task
from harness.evaluation import predict
from harness.evaluation.predict import predict_windows, windows
from harness.records.schema import Engine

SIZE = (16, 16, 8)


def window_scores(network, image, n_classes, stride=None, batch_size=4):
    (scores,) = predict.window_scores(network, [image], task_of(n_classes), stride, Engine(batch_size=batch_size))
    return scores


def task_of(n_classes, size=SIZE):
    return Task("blobs", 3, 1, tuple(map(str, range(n_classes))), size)


def small_network():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1), nn.BatchNorm3d(6), nn.LeakyReLU(), nn.Dropout(0.5), nn.Conv3d(6, 3, 3, padding=1)
    )
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(4, 1, *SIZE))
    return network


def volume(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def monai_scores(network, image, stride, batch_size):
    """MONAI names strides by an overlap and rounds down: half a voxel more than the stride gives exactly this one."""
    from monai.inferers.utils import sliding_window_inference

    overlap = tuple(max(0.0, 1.0 - (step + 0.5) / side) for step, side in zip(stride, SIZE, strict=True))
    with torch.no_grad():
        return sliding_window_inference(image[None], SIZE, batch_size, lambda x: network(x).softmax(1), overlap)[0]


class Ramp(nn.Module):
    """Its logits depend on the place within the window: a window that is misplaced by a voxel shows."""

    def forward(self, images):
        places = torch.linspace(-1, 1, images[0, 0].numel()).reshape(images.shape[2:]).expand_as(images)
        return torch.cat([places, -places * images], dim=1)


@given(
    shape=st.tuples(st.integers(5, 40), st.integers(5, 40), st.integers(3, 20)),
    stride=st.tuples(st.integers(3, 16), st.integers(3, 16), st.integers(2, 8)),
    batch_size=st.integers(2, 7),
)
@settings(max_examples=25)
def test_windows_lie_where_the_field_puts_them(shape, stride, batch_size):
    image = torch.from_numpy(volume(shape))[None]
    scores = window_scores(Ramp(), image, 2, stride, batch_size)
    np.testing.assert_allclose(scores, monai_scores(Ramp(), image, stride, batch_size), atol=1e-5)


@given(shapes=st.lists(st.tuples(st.integers(5, 30), st.integers(5, 30), st.integers(3, 12)), min_size=2, max_size=5))
@settings(max_examples=10)
def test_volumes_that_share_forward_passes_get_the_labels_of_each_alone(shapes):
    network, task, engine = small_network().double(), task_of(3), Engine(batch_size=4)
    volumes = [torch.from_numpy(volume(shape, seed)).double()[None] for seed, shape in enumerate(shapes)]
    together = predict_windows(network, volumes, task, (8, 8, 8), engine)
    for labels, image in zip(together, volumes, strict=True):
        (alone,) = predict_windows(network, [image], task, (8, 8, 8), engine)
        assert labels.shape == image.shape[1:]
        assert torch.equal(labels, alone)


def test_without_a_stride_it_is_the_field_s_and_no_longer_than_a_window():
    large, small = torch.zeros(1, 183, 140, 88), torch.zeros(1, 40, 60, 20)
    for image, size, stride in ((large, (112, 112, 80), (18, 18, 4)), (small, (16, 48, 16), (16, 18, 4))):
        assert list(windows(image, task_of(2, size), None)) == list(windows(image, task_of(2, size), stride))


def test_scores_of_bfloat16_are_shares_in_float32():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores = window_scores(nn.Conv3d(2, 3, 1), torch.rand(2, 16, 20, 8), 3)
    torch.testing.assert_close(scores.sum(0), torch.ones(16, 20, 8), atol=1e-5, rtol=0)
