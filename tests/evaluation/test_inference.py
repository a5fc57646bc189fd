"""What predicting owes to the rest: randomness, precision, probabilities."""

import pytest
import torch
from torch import nn

from harness.api import Task
from harness.evaluation.evaluate import predict_ensemble
from harness.evaluation.predict import predict_slices, slice_scores
from harness.records.schema import Engine

CLASSES = ("background", "LA")
SLICES, VOLUME = Task("slices", 2, 1, CLASSES, (8, 8)), Task("volumes", 3, 1, CLASSES, (4, 4, 4))


class Watched(nn.Module):
    """The same two logits everywhere. Remembers how many images it saw, and in which precision it convolved."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.conv = nn.Conv2d(1, 1, 1)
        self.seen, self.dtype = 0, None

    def forward(self, images):
        self.seen += len(images)
        self.dtype = self.conv(images[..., 0] if images.dim() == 5 else images).dtype
        noise = 1e-6 * torch.rand(1)  # a predictor may draw
        return (self.logits + noise).view(1, 2, *(1,) * (images.dim() - 2)).expand(len(images), 2, *images.shape[2:])


def test_a_predictor_that_draws_moves_no_generator():
    network, state = Watched(0.0, 1.0), torch.get_rng_state()
    predict_slices(network, [torch.zeros(2, 1, 8, 8)], Engine())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_networks_predict_in_the_precision_in_which_they_train(precision, dtype):
    network = Watched(0.0, 1.0)
    predict_slices(network, [torch.zeros(2, 1, 8, 8)], Engine(precision=precision))
    assert network.dtype == dtype


@pytest.mark.parametrize(("task", "shape"), [(SLICES, (2, 1, 8, 8)), (VOLUME, (1, 4, 4, 4))], ids=["2D", "3D"])
def test_an_ensemble_adds_probabilities_and_not_logits(task, shape):
    """By hand: (1, 0) + 2 (0.12, 0.88) is largest for class 1, (10, 0) + 2 (0, 2) for class 0."""
    members = [(Watched(10.0, 0.0), Engine()), (Watched(0.0, 2.0), Engine()), (Watched(0.0, 2.0), Engine())]
    native = (2, 8, 8) if task is SLICES else (4, 4, 4)
    assert (predict_ensemble(members, torch.zeros(shape), native, task) == 1).all()
    assert (predict_ensemble(members[:1], torch.zeros(shape), native, task) == 0).all()
    torch.testing.assert_close(
        slice_scores(members[1][0], torch.zeros(1, 1, 8, 8), Engine())[0, :, 0, 0], torch.tensor([0.1192, 0.8808]),
        atol=1e-4, rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2])
def test_new_volumes_are_read_at_the_stride_of_the_test(count):
    """By hand: sides of 8 voxels hold 3 windows of 4 at a stride of 2, and 2 at 4."""
    engine = Engine(window_stride=(2, 2, 2), validation_stride=(4, 4, 4))
    members = [(Watched(0.0, 1.0), engine) for _ in range(count)]
    predict_ensemble(members, torch.zeros(1, 8, 8, 8), (8, 8, 8), VOLUME)
    assert [network.seen for network, _ in members] == [27] * count
