import numpy as np
import pytest
import torch

from harness.data.shrink import shrink_image, shrink_labels, shrunk_shape


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
