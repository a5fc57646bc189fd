import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from harness.data import nnunet
from harness.data.intensity import blur, change_contrast, change_gamma, lower_resolution
from harness.data.interpolate import Points, centred_points

CPU = torch.device("cpu")
MANY = 20_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count, *size):
    return torch.rand(count, 1, *size, generator=generator(3))


@pytest.mark.parametrize("size", [(16, 32), (16, 12, 20)], ids=str)
def test_points_are_read_as_scipy_reads_them(size):
    scans = pictures(4, *size)
    labels = torch.randint(0, 200, (4, *size), generator=generator(), dtype=torch.uint8)
    maps = nnunet.draw_maps(torch.tensor([1.0, 1.2, 0.8, 1.0]), size, generator(8))
    middle = torch.tensor([(side - 1) / 2 for side in size])
    places = maps @ centred_points(size, CPU) + middle[:, None]
    first = torch.arange(4) * math.prod(size)
    points = Points(first, torch.tensor(size).repeat(4, 1), places)
    values, classes = points.linear(scans.flatten(), torch.full((4,), 0.7)), points.nearest(labels.flatten())
    assert not torch.equal(values.view(scans.shape), scans)
    for scan, label, matrix, value, own in zip(scans[:, 0], labels, maps, values, classes, strict=True):
        offset = (middle - matrix @ middle).numpy()
        kwargs = {"offset": offset, "mode": "grid-constant"}
        expected = ndimage.affine_transform(scan.double().numpy(), matrix.double().numpy(), order=1, cval=0.7, **kwargs)
        np.testing.assert_allclose(value.view(size).numpy(), expected, atol=2e-4)
        nearest = ndimage.affine_transform(label.numpy(), matrix.double().numpy(), order=0, **kwargs)
        assert float((own.view(size).numpy() == nearest).mean()) > 0.99, "but for ties"


@pytest.mark.parametrize("size", [(32, 32), (32, 16), (16, 16, 16), (64, 64, 16)], ids=str)
def test_maps_turn_scale_and_mirror_as_often_and_as_far_as_declared(size):
    maps = nnunet.draw_maps(torch.ones(MANY), size, generator())
    axes = nnunet.turning_axes(size)
    assert axes == ((0, 1) if size[-1] == 16 and len(size) == 3 and size[0] == 64 else tuple(range(len(size))))
    scales = maps[:, 0].norm(dim=1)
    scaled = (scales - 1.0).abs() > 1e-4
    assert float(scaled.float().mean()) == pytest.approx(0.2, abs=0.015)
    assert (float(scales.min()), float(scales.max())) == pytest.approx((0.7, 1.4), abs=0.01)
    straight = (maps.abs() > 1e-5).sum((1, 2)) == len(size)
    assert float((~straight).float().mean()) == pytest.approx(0.2, abs=0.015)
    assert float((maps[straight][:, 0, 0] < 0).float().mean()) == pytest.approx(0.5, abs=0.02)
    cosines = (maps[:, 0, 0].abs() / scales)[~straight]
    assert (
        math.degrees(math.acos(float(cosines.min())))
        >= {180.0: 85.0, 15.0: 14.0, 30.0: 30.0}[nnunet.largest_angle(size)]
    )


def test_a_rotation_is_one_in_native_proportions():
    aspects = torch.linspace(0.5, 2.0, 500)
    maps = nnunet.draw_maps(aspects, (32, 32), generator())
    native = torch.diag_embed(torch.stack([torch.ones(500), aspects], 1))
    turned = native @ maps @ native.inverse()
    gram = turned @ turned.transpose(1, 2)
    torch.testing.assert_close(gram, gram[:, :1, :1] * torch.eye(2), atol=1e-4, rtol=0)


def test_strengths_are_drawn_as_often_and_as_far_as_declared():
    draws = nnunet.draw_intensities(MANY, (1, 1), generator(), CPU)
    declared = {
        "noise": (0.1, 0.0, 0.1), "blur": (0.2, 0.5, 1.0), "brightness": (0.15, 0.75, 1.25),
        "contrast": (0.15, 0.75, 1.25), "resolution": (0.25, 0.5, 1.0), "inverted_gamma": (0.1, 0.7, 1.5),
        "gamma": (0.3, 0.7, 1.5),
    }  # fmt: skip
    for name, (probability, low, high) in declared.items():
        on, strength = getattr(draws, name)
        assert float(on.float().mean()) == pytest.approx(probability, abs=0.015), name
        assert (float(strength.min()), float(strength.max())) == pytest.approx((low, high), abs=1e-3), name


@pytest.mark.parametrize("size", [(16, 24), (16, 12, 18)], ids=str)
def test_blur_is_scipy_s(size):
    images, sigmas = pictures(3, *size), 0.5 + 0.5 * torch.rand(3, len(size), generator=generator())
    for image, sigma, result in zip(images[:, 0], sigmas.tolist(), blur(images, sigmas)[:, 0], strict=True):
        expected = ndimage.gaussian_filter(image.double().numpy(), sigma, mode="mirror", truncate=8)
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_low_resolution_takes_nearest_voxels_and_comes_back_as_torch_does():
    images, shares = pictures(5, 32, 48), torch.tensor([0.5, 0.6, 0.77, 0.9, 1.0])
    results = lower_resolution(images, shares, (0, 1))
    for picture, share, result in zip(images, shares.tolist(), results, strict=True):
        image = picture
        for axis, side in ((1, 32), (2, 48)):
            coarse = round(side * share)
            image = image.index_select(axis, torch.tensor([(2 * k + 1) * side // (2 * coarse) for k in range(coarse)]))
        expected = torch.nn.functional.interpolate(image[None], (32, 48), mode="bicubic")
        torch.testing.assert_close(result[None], expected, atol=2e-5, rtol=0)
    assert torch.equal(results[4], images[4])


def test_gamma_keeps_mean_and_deviation_and_raises_to_the_power():
    images = 3.0 * pictures(4, 20, 30) - 1.0
    exponents = torch.tensor([0.7, 1.0, 1.3, 1.5])
    results = change_gamma(images, exponents)
    torch.testing.assert_close(results.mean((1, 2, 3)), images.mean((1, 2, 3)))
    torch.testing.assert_close(results.std((1, 2, 3)), images.std((1, 2, 3)))
    torch.testing.assert_close(results[1], images[1])
    for image, exponent, result in zip(images.numpy(), exponents.tolist(), results.numpy(), strict=True):
        powers = ((image - image.min()) / np.ptp(image)) ** exponent
        assert np.corrcoef(powers.ravel(), result.ravel())[0, 1] == pytest.approx(1.0, abs=1e-5)
    constant = torch.full((1, 1, 4, 4), 2.5)
    assert torch.equal(change_gamma(constant, torch.tensor([1.5])), constant)


def test_contrast_by_hand():
    image = torch.tensor([[[[0.0, 1.0, 2.0, 5.0]]]])  # mean 2
    assert change_contrast(image, torch.tensor([0.75])).tolist() == [[[[0.5, 1.25, 2.0, 4.25]]]]
    assert change_contrast(image, torch.tensor([1.25])).tolist() == [[[[0.0, 0.75, 2.0, 5.0]]]]


def test_noise_and_brightness_are_those_of_a_scan_of_unit_variance():
    images = 10.0 + 4.0 * torch.randn(2, 1, 64, 64, generator=generator())
    off = {name: switch._replace(on=torch.zeros(2, dtype=torch.bool)) for name, switch in
           nnunet.draw_intensities(2, (64, 64), generator(), CPU)._asdict().items() if name != "normal"}  # fmt: skip
    normal = torch.randn(2, 1, 64, 64, generator=generator(1))
    scale = torch.tensor([10.0, 10.0]), torch.tensor([4.0, 4.0])
    nothing = nnunet.Intensities(normal=normal, **off)
    assert torch.equal(nnunet.change_intensities(images, nothing, *scale), images)
    on = torch.tensor([True, False])
    noisy = nothing._replace(noise=nnunet.Switch(on, torch.full((2,), 0.09)))
    changed = nnunet.change_intensities(images, noisy, *scale)
    torch.testing.assert_close(changed[0] - images[0], 0.3 * 4.0 * normal[0], atol=1e-5, rtol=0)
    assert torch.equal(changed[1], images[1])
    bright = nothing._replace(brightness=nnunet.Switch(on, torch.full((2,), 1.2)))
    torch.testing.assert_close(nnunet.change_intensities(images, bright, *scale)[0], 10 + 1.2 * (images[0] - 10))
