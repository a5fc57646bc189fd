import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from harness.api import largest_components


def sizes_of(mask):
    components, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return [int((components == number).sum()) for number in range(1, count + 1)]


def assert_largest(mask):
    kept = largest_components(torch.as_tensor(mask.copy()).long().unsqueeze(0), 2)[0].bool().numpy()
    assert not (kept & ~mask).any()
    sizes = sizes_of(mask)
    assert sizes_of(kept) == ([max(sizes)] if sizes else [])


def serpentine(side):
    mask = np.zeros((side, side), dtype=bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    return mask


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.0, 1.0), dimension=st.sampled_from([2, 3]))
def test_one_component_is_kept_and_it_is_the_largest(seed, share, dimension):
    size = ((13, 18), (6, 9, 7))[dimension - 2]
    assert_largest(np.random.default_rng(seed).random(size) < share)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("side", [31, 64])
def test_the_longest_way_through_an_image_is_one_component(side, turns):
    mask = np.rot90(serpentine(side), turns)
    assert len(sizes_of(mask)) == 1
    kept = largest_components(torch.as_tensor(mask.copy()).long().unsqueeze(0), 2)[0]
    assert torch.equal(kept.bool(), torch.as_tensor(mask.copy()))


def test_classes_and_images_are_judged_apart():
    labels = torch.tensor([
        [[1, 1, 0, 2], [0, 2, 2, 0], [1, 0, 0, 1], [3, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [2, 0, 2, 2], [0, 0, 0, 0]],
    ])  # fmt: skip
    kept = torch.tensor([
        [[1, 1, 0, 2], [0, 2, 2, 0], [0, 0, 0, 0], [3, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2, 2], [0, 0, 0, 0]],
    ])  # fmt: skip
    assert torch.equal(largest_components(labels, 4), kept)
    assert torch.equal(largest_components(torch.zeros_like(labels), 4), torch.zeros_like(labels))
