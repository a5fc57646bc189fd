import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from harness.api import views
from harness.api.views import Draws, Strength, augment, blur, draw, jitter
from methods.supervised import Supervised
from methods.ua_mt import UAMT
from tests.methods.tiny import Recorder, batch_for, build, progress_at, step_loss


def images_of(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def values(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@given(
    seed=st.integers(0, 2**31),
    size=st.lists(st.integers(1, 12), min_size=2, max_size=3),
    sigmas=st.lists(st.floats(0.15, 1.15), min_size=2, max_size=2),
)
def test_blur_is_scipys(seed, size, sigmas):
    images = images_of(seed, 2, 2, *size).double()
    blurred = blur(images, values(*sigmas), radius=4)
    for image, result, sigma in zip(images.numpy(), blurred.numpy(), sigmas, strict=True):
        for channel, found in zip(image, result, strict=True):
            np.testing.assert_allclose(found, gaussian_filter(channel, sigma, mode="mirror", radius=4), atol=1e-12)


def test_jitter_by_hand_of_an_image_that_is_darker_than_0_and_brighter_than_1():
    # Black is -1, white 3, the mean 1: over black 0, 2, 4 about 2.
    images = torch.tensor([[[-1.0, 1.0, 3.0]]], dtype=torch.float64).expand(3, 1, 3)
    result = jitter(images, values(0.5, 1.0, 1.25), values(1.0, 0.5, 1.0))
    assert result[0].flatten().tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert result[1].flatten().tolist() == pytest.approx([0.0, 1.0, 2.0])
    assert result[2].flatten().tolist() == pytest.approx([-1.0, 1.5, 3.0])  # 5 - 1 is brighter than white


def test_factors_sigmas_and_switches_follow_their_law():
    torch.manual_seed(0)
    draws = draw(4000, Strength(0.25, 0.1, 0.3, (0.15, 1.15), 0.8), torch.device("cpu"))
    ranges = {"brightness": (0.75, 1.25), "contrast": (0.9, 1.1), "sigma": (0.15, 1.15)}
    for name, (low, high) in ranges.items():
        found = getattr(draws, name)
        assert low <= found.min() <= low + 0.01 * (high - low)
        assert high >= found.max() >= high - 0.01 * (high - low)
        assert found.mean().item() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    assert draws.jittered.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert draws.blurred.float().mean().item() == pytest.approx(0.8, abs=0.03)
    together = torch.stack([d.float() for d in draws])
    assert (torch.corrcoef(together) - torch.eye(5)).abs().max() < 0.06  # no two draws hang together


def test_switches_act_image_by_image():
    images = images_of(4, 4, 1, 8, 8)
    on = torch.tensor([False, True, False, True])
    draws = Draws(on, torch.full((4,), 1.1), torch.full((4,), 0.8), on.roll(1), torch.full((4,), 0.9))
    result = augment(images, draws._replace(blurred=torch.tensor([False, False, True, True])), radius=4)
    jittered = jitter(images, draws.brightness, draws.contrast)
    expected = [images[0], jittered[1], blur(images, draws.sigma, 4)[2], blur(jittered, draws.sigma, 4)[3]]
    assert torch.equal(result, torch.stack(expected))


@pytest.fixture(autouse=True)
def _certain(monkeypatch):
    certain, real = views.Strength(jitter_probability=1.0, blur_probability=1.0), views.strong
    monkeypatch.setattr(views, "strong", lambda images, _strength: real(images, certain))


@pytest.mark.parametrize("strong", [False, True])
def test_supervised_sees_all_its_images_strongly(strong):
    method = build(Supervised, strong=strong)
    batch, net = batch_for(method), Recorder(method.net)
    step_loss(method, batch, method.stages[0], progress_at(0.5))
    same = [torch.equal(seen, given) for seen, given in zip(net.inputs[0], batch.images, strict=True)]
    assert same == [not strong] * 4


@pytest.mark.parametrize("strong", [False, True])
def test_ua_mt_s_student_sees_its_unlabelled_images_strongly_and_its_teacher_does_not(strong):
    method = build(UAMT, strong=strong, noise=0.0)
    batch = batch_for(method)
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    step_loss(method, batch, method.stages[0], progress_at(0.5))
    assert torch.equal(student.inputs[0][:2], batch.images)
    same = [torch.equal(seen, given) for seen, given in zip(student.inputs[0][2:], batch.unlabelled[0], strict=True)]
    assert same == [not strong] * 2
    assert torch.equal(teacher.inputs[0], batch.unlabelled[0])
