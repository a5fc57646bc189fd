import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from harness.api.views import FINE_TUNING, PRE_TRAINING, Draws, Strength, augment, blur, draw, jitter, strong

NEVER = Strength(jitter_probability=0.0, blur_probability=0.0)
ALWAYS = Strength(jitter_probability=1.0, blur_probability=1.0)


def images_of(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def values(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


@given(
    seed=st.integers(0, 2**31),
    size=st.lists(st.integers(1, 12), min_size=2, max_size=3),
    sigmas=st.lists(st.floats(0.15, 1.15), min_size=2, max_size=2),
)
def test_blur_is_scipys(seed: int, size: list[int], sigmas: list[float]):
    images = images_of(seed, 2, 2, *size).double()
    blurred = blur(images, values(*sigmas), radius=4)
    for image, result, sigma in zip(images.numpy(), blurred.numpy(), sigmas, strict=True):
        for channel, found in zip(image, result, strict=True):
            np.testing.assert_allclose(found, gaussian_filter(channel, sigma, mode="mirror", radius=4), atol=1e-12)


def test_the_kernel_has_nine_taps():
    assert FINE_TUNING.radius == PRE_TRAINING.radius == 4
    assert Strength(sigma_range=(0.1, 2.0)).radius == 6


def test_jitter_by_hand_of_an_image_that_is_darker_than_0_and_brighter_than_1():
    # Black is -1, white 3, the mean 1: over black 0, 2, 4 about 2.
    images = torch.tensor([[[-1.0, 1.0, 3.0]]], dtype=torch.float64).expand(3, 1, 3)
    result = jitter(images, values(0.5, 1.0, 1.25), values(1.0, 0.5, 1.0))
    assert result[0].flatten().tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert result[1].flatten().tolist() == pytest.approx([0.0, 1.0, 2.0])
    assert result[2].flatten().tolist() == pytest.approx([-1.0, 1.5, 3.0])  # 5 - 1 is brighter than white


@given(seed=st.integers(0, 2**31), bright=st.floats(0.75, 1.25), contrast=st.floats(0.75, 1.25))
def test_jitter_in_the_unit_interval_is_the_plain_formula_to_the_bit(seed: int, bright: float, contrast: float):
    images, b, c = images_of(seed, 2, 1, 5, 6), torch.full((2,), bright), torch.full((2,), contrast)
    by_image = (b.view(2, 1, 1, 1), c.view(2, 1, 1, 1))
    scaled = by_image[0] * by_image[1] * images
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.equal(jitter(images, b, c), (scaled + by_image[0] * (1.0 - by_image[1]) * mean).clamp(0.0, 1.0))


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


@pytest.mark.parametrize("size", [(9, 8), (5, 6, 7)])
def test_never_keeps_every_bit_and_always_changes_every_image(size: tuple[int, ...]):
    images = images_of(3, 6, 1, *size)
    assert torch.equal(strong(images, NEVER), images)
    result = strong(images, ALWAYS)
    assert result.shape == images.shape
    assert all((a != b).float().mean() > 0.9 for a, b in zip(result, images, strict=True))
    assert -1e-6 <= result.min() <= result.max() <= 1 + 1e-6


def test_switches_act_image_by_image():
    images = images_of(4, 4, 1, 8, 8)
    on = torch.tensor([False, True, False, True])
    draws = Draws(on, torch.full((4,), 1.1), torch.full((4,), 0.8), on.roll(1), torch.full((4,), 0.9))
    result = augment(images, draws._replace(blurred=torch.tensor([False, False, True, True])), radius=4)
    jittered = jitter(images, draws.brightness, draws.contrast)
    expected = [images[0], jittered[1], blur(images, draws.sigma, 4)[2], blur(jittered, draws.sigma, 4)[3]]
    assert torch.equal(result, torch.stack(expected))
