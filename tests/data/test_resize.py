import numpy as np
import pytest
import torch

from harness.data.resize import resize_images, resize_labels
from harness.data.shrink import shrink_image, shrink_labels, shrunk_shape


def test_nearest_images_and_labels_take_the_same_pixels():
    labels = torch.arange(61 * 53).reshape(1, 61, 53) % 251
    images = resize_images(labels[:, None].float(), (32, 48), "nearest")
    assert torch.equal(images[:, 0].to(torch.uint8), resize_labels(labels.to(torch.uint8), (32, 48)))


def test_by_hand():
    """3 pixels to 5: centres at 0.3, 0.9, 1.5, 2.1, 2.7. 4 to 2: means of pairs. 2 to 4: 0, 1/4, 3/4, 1 of the way."""
    assert resize_labels(torch.tensor([[[7, 8, 9]]]), (1, 5)).tolist() == [[[7, 7, 8, 9, 9]]]
    assert resize_images(torch.tensor([[[[0.0, 1.0, 2.0, 5.0]]]]), (1, 2), "area").tolist() == [[[[0.5, 3.5]]]]
    row = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    assert resize_images(row, (2, 4), "bilinear")[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_sides_are_divided_and_rounded():
    # 183 / 3 = 61, 140 / 3 = 46.7, 88 / 3 = 29.3
    assert shrunk_shape((183, 140, 88), 3) == (61, 47, 29)
    assert shrunk_shape((183, 140, 88), None) == (183, 140, 88)
    assert shrunk_shape((1, 5, 9), 8) == (1, 1, 1)


@pytest.mark.parametrize("factor", [2, 3])
def test_each_voxel_is_the_mean_of_its_block(factor):
    native = torch.rand(4 * factor, 3 * factor, 5 * factor)
    blocks = native.numpy().reshape(4, factor, 3, factor, 5, factor).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(shrink_image(native, factor).numpy(), blocks, atol=1e-6)


def test_a_label_is_that_of_the_block_s_middle():
    native = torch.arange(6 * 9 * 3, dtype=torch.uint8).reshape(6, 9, 3)
    assert torch.equal(shrink_labels(native, 3), native[1::3, 1::3, 1::3])
