"""Native slices to training size: labels are picked, never mixed; areas keep their mean; the same pixels everywhere."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.data.resize import resize_images, resize_labels

sides = st.integers(16, 70)


@given(height=sides, width=sides, new_height=sides, new_width=sides, seed=st.integers(0, 999))
def test_label_values_are_never_invented_and_lie_where_nearest_puts_them(
    height: int, width: int, new_height: int, new_width: int, seed: int
) -> None:
    labels = torch.randint(0, 256, (2, height, width), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    new = resize_labels(labels, (new_height, new_width))
    assert (new.shape, new.dtype) == ((2, new_height, new_width), torch.uint8)
    for axis, (native, target) in enumerate(((height, new_height), (width, new_width)), start=1):
        middle = new.shape[3 - axis] // 2
        other_native = labels.shape[3 - axis]
        other = math.floor((middle + 0.5) * other_native / new.shape[3 - axis])
        for k in range(target):
            exact = (k + 0.5) * native / target
            row = new.select(axis, k).select(1, middle)
            # where a centre falls on the edge of two pixels (in float32) either is nearest
            rows = {math.floor(exact - 1e-4), math.floor(exact + 1e-4)} & set(range(native))
            columns = {other, min(other + 1, other_native - 1), max(other - 1, 0)}
            candidates = {tuple(labels.select(axis, i).select(1, j).tolist()) for i in rows for j in columns}
            assert tuple(row.tolist()) in candidates


@pytest.mark.parametrize("how", ["nearest", "area", "bilinear"])
def test_the_same_size_is_left_alone(how: str) -> None:
    images, labels = torch.rand(2, 1, 32, 48), torch.randint(0, 4, (2, 32, 48)).to(torch.uint8)
    assert torch.equal(resize_images(images, (32, 48), how), images)  # type: ignore[arg-type]
    assert torch.equal(resize_labels(labels, (32, 48)), labels)


@given(factor_y=st.integers(1, 4), factor_x=st.integers(1, 4), seed=st.integers(0, 99))
def test_area_keeps_the_mean_of_the_pixels_that_it_merges(factor_y: int, factor_x: int, seed: int) -> None:
    images = torch.rand(2, 1, 16 * factor_y, 32 * factor_x, generator=torch.Generator().manual_seed(seed))
    new = resize_images(images, (16, 32), "area")
    assert torch.allclose(new.mean((2, 3)), images.mean((2, 3)), atol=1e-6)
    block = images[0, 0, :factor_y, :factor_x]
    assert torch.allclose(new[0, 0, 0, 0], block.mean(), atol=1e-6)


def test_nearest_images_and_labels_take_the_same_pixels() -> None:
    labels = torch.arange(61 * 53).reshape(1, 61, 53) % 251
    images = resize_images(labels[:, None].float(), (32, 48), "nearest")
    assert torch.equal(images[:, 0].to(torch.uint8), resize_labels(labels.to(torch.uint8), (32, 48)))


def test_bilinear_by_hand() -> None:
    """Two pixels to four, centres at -0.25, 0.25, 0.75, 1.25 of the source's pixels: 0, 1/4, 3/4, 1 of the way."""
    row = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    assert resize_images(row, (2, 4), "bilinear")[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
