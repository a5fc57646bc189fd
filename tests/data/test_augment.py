import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from harness.data.augment import apply_maps, draw_maps
from harness.data.interpolate import centred_points

CPU = torch.device("cpu")


def moved(image, matrix):
    images, _ = apply_maps(image[None, None], None, matrix[None], centred_points(tuple(image.shape), CPU))
    return images[0, 0].numpy()


def drawn(count, seed=0):
    return draw_maps(torch.ones(count), (16, 16), torch.Generator().manual_seed(seed))


def is_right_angle(matrix):
    """Whether a map is a turn by a right angle and a flip: always a reflection, which no rotation is."""
    return sorted(matrix.abs().flatten().tolist()) == [0.0, 0.0, 1.0, 1.0] and float(torch.det(matrix)) < 0


def plain_rotation(image, degrees):
    height, width = image.shape
    angle = math.radians(degrees)
    out = np.zeros_like(image)
    for row, column in itertools.product(range(height), range(width)):
        y, x = row - (height - 1) / 2, column - (width - 1) / 2
        source_y = math.cos(angle) * y - math.sin(angle) * x + (height - 1) / 2
        source_x = math.sin(angle) * y + math.cos(angle) * x + (width - 1) / 2
        i, j = round(source_y), round(source_x)
        if 0 <= i < height and 0 <= j < width:
            out[row, column] = image[i, j]
    return out


def degrees_of(matrix):
    return math.degrees(math.atan2(float(matrix[1, 0]), float(matrix[0, 0])))


@pytest.mark.parametrize("side", [4, 5, 16])
def test_right_angles_are_exactly_rot90_and_flip(side):
    """The loader of the literature: np.rot90 by k in 0..3, then np.flip along axis 0 or 1."""
    image = torch.randperm(side * side).float().reshape(side, side)
    turned = [np.rot90(image.numpy(), turns) for turns in range(4)]
    expected = {np.flip(each, axis).tobytes() for each in turned for axis in range(2)}
    assert len(expected) == 4  # turning by k and flipping one axis is turning by k + 2 and flipping the other
    maps = [matrix for matrix in drawn(300) if is_right_angle(matrix)]
    assert {moved(image, matrix).tobytes() for matrix in maps} == expected


@pytest.mark.parametrize("size", [(16, 16), (17, 23), (32, 16)])
def test_small_rotations_equal_a_plain_nearest_neighbour_loop(size):
    torch.manual_seed(0)
    image = torch.rand(size)
    checked = set()
    for matrix in drawn(400, seed=1):
        if is_right_angle(matrix):
            continue
        degrees = degrees_of(matrix)
        assert abs(degrees - round(degrees)) < 1e-3, "whole degrees"
        assert -20 <= round(degrees) < 20
        if round(degrees) in checked:
            continue
        checked.add(round(degrees))
        ours = moved(image, matrix)
        differing = ours != plain_rotation(image.numpy(), round(degrees))
        # a source exactly between two pixels may fall to either in float32
        assert differing.mean() <= 0.01, f"{round(degrees)} degrees: {differing.sum()} pixels differ"
    assert len(checked) >= 35


def test_maps_turn_as_if_native_images_were_turned_and_then_zoomed():
    """Small angles in native proportions, width over height; a right angle exchanges the sides and their shares."""
    aspects, upright = torch.linspace(0.5, 2.0, 300), drawn(300, seed=7)
    maps = draw_maps(aspects, (64, 96), torch.Generator().manual_seed(7))
    right = torch.tensor([is_right_angle(matrix) for matrix in upright])
    native = torch.diag_embed(torch.stack([torch.ones(300), torch.where(right, 64 / 96, aspects)], 1))
    torch.testing.assert_close(native @ maps @ native.inverse(), upright)


def test_shares_of_the_choices():
    count = 20_000
    maps = drawn(count, seed=11)
    right = torch.tensor([is_right_angle(matrix) for matrix in maps])
    assert abs(float(right.float().mean()) - 0.5) < 4 * 0.5 / math.sqrt(count)
    kinds = Counter(tuple(matrix.flatten().tolist()) for matrix in maps[right])
    assert len(kinds) == 4, "each reached in two of the eight ways"
    assert all(abs(seen / count - 0.125) < 0.012 for seen in kinds.values())
    angles = torch.tensor([round(degrees_of(matrix)) for matrix in maps[~right]])
    assert (int(angles.min()), int(angles.max())) == (-20, 19)
    shares = torch.bincount(angles + 20) / len(angles)
    assert len(shares) == 40
    assert torch.all((shares - 1 / 40).abs() < 5 * math.sqrt(1 / 40 / len(angles)))
