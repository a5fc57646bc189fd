import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from harness.data.augment import apply_maps, draw_maps
from harness.data.interpolate import centred_points
from harness.data.resize import resize_labels

CPU = torch.device("cpu")
MARKS = np.arange(16, dtype=np.float32).reshape(4, 4)


def moved(image, label, matrix):
    grid = centred_points((image.shape[0], image.shape[1]), CPU)
    images, labels = apply_maps(image[None, None], None if label is None else label[None], matrix[None], grid)
    return images[0, 0], None if labels is None else labels[0]


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


def d4(image):
    return {(turns, axis): np.flip(np.rot90(image, turns), axis) for turns in range(4) for axis in range(2)}


@pytest.mark.parametrize("side", [4, 5, 16])
def test_right_angles_are_exactly_rot90_and_flip(side):
    """The loader of the literature: np.rot90 by k in 0..3, then np.flip along axis 0 or 1."""
    image = torch.randperm(side * side).float().reshape(side, side)
    expected = {outcome.tobytes() for outcome in d4(image.numpy()).values()}
    assert len(expected) == 4  # turning by k and flipping one axis is turning by k + 2 and flipping the other
    maps = [matrix for matrix in drawn(300) if is_right_angle(matrix)]
    assert {moved(image, None, matrix)[0].numpy().tobytes() for matrix in maps} == expected


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
        ours = moved(image, None, matrix)[0].numpy()
        differing = ours != plain_rotation(image.numpy(), round(degrees))
        # a source exactly between two pixels may fall to either in float32
        assert differing.mean() <= 0.01, f"{round(degrees)} degrees: {differing.sum()} pixels differ"
    assert len(checked) >= 35


def egg(height, width):
    rows, columns = np.mgrid[:height, :width]
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    radius = min(height, width) / 3
    body = y**2 + x**2 < radius**2
    shoulder = (y - 0.8 * radius) ** 2 + (x - 0.5 * radius) ** 2 < (0.6 * radius) ** 2
    return (body | shoulder).astype(np.uint8)


def zoomed(label, size):
    return resize_labels(torch.from_numpy(np.ascontiguousarray(label))[None], size)[0]


@pytest.mark.parametrize("native", [(256, 216), (300, 180)])
@pytest.mark.parametrize("size", [(96, 96), (64, 96)])
def test_turned_at_training_size_as_if_turned_at_native_size_and_zoomed(native, size):
    """The loader's order of work; a shear would cost 5 to 20 %, two roundings at the border cost less."""
    label = egg(*native)
    aspect = (native[1] / size[1]) / (native[0] / size[0])
    maps = draw_maps(torch.full((16,), aspect), size, torch.Generator().manual_seed(7))
    upright = draw_maps(torch.ones(16), (16, 16), torch.Generator().manual_seed(7))
    for matrix, plain in zip(maps, upright, strict=True):
        if is_right_angle(plain):
            turned = next(
                outcome
                for (turns, axis), outcome in d4(label).items()
                if np.array_equal(d4(MARKS)[turns, axis], moved(torch.from_numpy(MARKS), None, plain)[0].numpy())
            )
        else:
            turned = plain_rotation(label.astype(np.float32), degrees_of(plain)).astype(np.uint8)
        expected = zoomed(turned, size)
        ours = moved(torch.zeros(size), zoomed(label, size).long(), matrix)[1]
        dice = 2.0 * float((ours * expected).sum()) / float((ours + expected).sum())
        assert dice > 0.97


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
