import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, distance_transform_edt

from methods.shared.distance import signed_distances


def derived(mask):
    """By scipy; the border is what an erosion takes away, the image's edge being none."""
    if mask.all() or not mask.any():
        return np.zeros(mask.shape)
    outside, inside = distance_transform_edt(~mask), distance_transform_edt(mask)
    signed = outside / outside.max() - inside / inside.max()
    signed[mask & ~binary_erosion(mask, border_value=1)] = 0
    return signed


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.0, 1.0), dimension=st.sampled_from([2, 3]))
def test_they_are_scipys(seed, share, dimension):
    size = ((3, 13, 18), (2, 6, 9, 7))[dimension - 2]
    masks = np.random.default_rng(seed).random(size) < share
    signed = signed_distances(torch.as_tensor(masks))
    np.testing.assert_allclose(signed, [derived(mask) for mask in masks], atol=1e-6)
