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


def assert_uniform(values, limit):
    """Of thousands of values: in +-limit, to the limits, a quarter in each quarter."""
    assert float(values.abs().max()) == pytest.approx(limit, rel=0.01)
    quartiles = torch.quantile(values, torch.tensor([0.25, 0.5, 0.75])) / limit
    assert quartiles.tolist() == pytest.approx([-0.5, 0.0, 0.5], abs=0.06)


def test_each_axis_is_mirrored_and_each_angle_drawn_by_itself():
    """R = R01 R02 R12, its columns mirrored: under 90 degrees in all, the diagonal has the signs of the mirrors."""
    maps = nnunet.draw_maps(torch.ones(MANY), (16, 16, 16), generator(1))
    scales = maps[:, 0].norm(dim=1)
    mirrors = maps.diagonal(dim1=1, dim2=2).sign()
    turned = maps * mirrors[:, None] / scales[:, None, None]
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3).expand(MANY, 3, 3), atol=1e-5, rtol=0)
    tilt = turned[:, 2, 0].asin()
    angles = torch.stack([(turned[:, 2, 1] / tilt.cos()).asin(), tilt, (turned[:, 1, 0] / tilt.cos()).asin()], 1)
    on = (angles.abs() > 1e-5).all(1)
    assert torch.equal(on, (angles.abs() > 1e-5).any(1)), "an image turns about all axes or none"
    for angle in angles[on].unbind(1):
        assert_uniform(angle.rad2deg(), 30.0)
    zoomed = (scales - 1.0).abs() > 1e-4
    assert_uniform((scales[zoomed] - 1.05) / 0.35, 1.0)
    facts = torch.cat([angles[on], mirrors[on], scales[on, None]], 1)
    assert float((facts.T.corrcoef() - torch.eye(7)).abs().max()) < 0.06, "drawn independently"
    assert mirrors.mean(0).tolist() == pytest.approx([0.0] * 3, abs=0.03)
    assert float((on & zoomed).float().mean()) == pytest.approx(0.2 * 0.2, abs=0.01)


@pytest.mark.parametrize(("size", "limit"), [((32, 16), 15.0), ((32, 24), 180.0), ((64, 64, 16), 180.0)], ids=str)
def test_a_plane_turns_to_either_side(size, limit):
    maps = nnunet.draw_maps(torch.ones(MANY), size, generator(2))
    turned = maps[:, 0, 1].abs() > 1e-5
    angles = torch.atan2(maps[:, 1, 0], maps[:, 0, 0])[turned].rad2deg()  # a mirror adds 180 degrees
    assert_uniform(torch.where(angles.abs() > 90.0, angles - 180.0 * angles.sign(), angles), min(limit, 90.0))
    if len(size) == 3:
        assert torch.equal(maps[:, 2].abs(), torch.eye(3)[2].expand(MANY, 3)), "the third axis stays as it is"
        assert float(maps[:, 2, 2].mean()) == pytest.approx(0.0, abs=0.03), "but is mirrored"


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


OWN = {
    "blur": blur,
    "contrast": change_contrast,
    "resolution": lambda images, strength: lower_resolution(images, strength, (0, 1)),
    "inverted_gamma": lambda images, strength: -change_gamma(-images, strength),
    "gamma": change_gamma,
}
"""In the order in which they follow noise and brightness."""


@pytest.mark.parametrize("name", OWN)
def test_a_switch_changes_its_images_alone_and_as_the_transform_does(name):
    images, draws = pictures(4, 32, 32, 8), nnunet.draw_intensities(4, (32, 32, 8), generator(5), CPU)
    on, off = torch.tensor([True, False, True, False]), torch.zeros(4, dtype=torch.bool)
    switches = {other: getattr(draws, other)._replace(on=on if other == name else off)
                for other in draws._fields if other != "normal"}  # fmt: skip
    changed = nnunet.change_intensities(images, draws._replace(**switches), torch.zeros(4), torch.ones(4))
    assert torch.equal(changed[on], OWN[name](images, getattr(draws, name).strength)[on])
    assert torch.equal(changed[~on], images[~on])
    assert not torch.isclose(changed[on], images[on]).all()


def test_transforms_follow_each_other_in_the_declared_order():
    images, draws = pictures(2, 24, 24), nnunet.draw_intensities(2, (24, 24), generator(6), CPU)
    on = torch.ones(2, dtype=torch.bool)
    draws = draws._replace(**{name: getattr(draws, name)._replace(on=on) for name in draws._fields if name != "normal"})
    means, deviations = torch.tensor([0.4, 0.5]), torch.tensor([0.3, 0.2])
    expected = images + (draws.noise.strength.sqrt() * deviations)[:, None, None, None] * draws.normal
    expected = blur(expected, draws.blur.strength)
    mean, factor = means[:, None, None, None], draws.brightness.strength[:, None, None, None]
    expected = mean + (expected - mean) * factor
    for name in list(OWN)[1:]:
        expected = OWN[name](expected, getattr(draws, name).strength)
    torch.testing.assert_close(nnunet.change_intensities(images, draws, means, deviations), expected)
