import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api.mixing import Mixed, box_mask, class_mask, classmix, cutmix, half_boxes, partner

LARGEST = 1 - 2**-24  # of torch.rand in float32
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=3)
MIXES = {"cutmix": lambda m: cutmix(*m), "classmix": lambda m: classmix(m.images, m.labels, m.confidence, 4)}


def batch(count, size, seed=0):
    """Every pixel of every channel its own number, random labels of four classes, confidence from pixel and label."""
    images = torch.arange(count * 2 * math.prod(size), dtype=torch.float32).view(count, 2, *size)
    labels = torch.randint(0, 4, (count, *size), generator=torch.Generator().manual_seed(seed))
    return Mixed(images, labels, images[:, 0] * 4 + labels)


@given(size=SIZES, data=st.data())
def test_a_box_is_inside_and_covers_half(size, data):
    number = st.sampled_from([0.0, LARGEST]) | st.floats(0, LARGEST, width=32)
    rows = st.lists(number, min_size=2 * len(size) - 1, max_size=2 * len(size) - 1)
    draws = torch.tensor(data.draw(st.lists(rows, min_size=1, max_size=3)), dtype=torch.float32)
    for mask in half_boxes(draws, size).numpy():
        assert mask.shape == tuple(size)
        corners = [(axis.min(), axis.max() + 1) for axis in np.nonzero(mask)]
        sides = [int(stop - start) for start, stop in corners]
        assert mask.sum() == math.prod(sides)  # filled, hence one box; it lies inside, or the sides would be cut short
        slice_area = math.prod(sides[1:])
        assert abs(mask.sum() - math.prod(size) / 2) <= slice_area / 2 + 1e-3 or size[0] == 1
        assert all(2 * side >= length for side, length in zip(sides[1:], size[1:], strict=True))


def test_classes_by_hand():
    labels = torch.tensor([[[0, 1], [3, 3]], [[2, 2], [2, 2]]])
    scores = torch.tensor([[0.1, 0.2, 0.9, 0.3], [0.9, 0.9, 0.0, 0.9]])
    # Image 0 shows 0, 1 and 3: one of them, 3 scores best (2 is absent). Image 1 shows one class: that one.
    assert class_mask(scores, labels).int().tolist() == [[[0, 0], [1, 1]], [[1, 1], [1, 1]]]
    # All four: two, the best two.
    assert class_mask(scores[:1], torch.tensor([[[0, 1], [2, 3]]])).int().tolist() == [[[0, 0], [1, 1]]]


@pytest.mark.parametrize("name", MIXES)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 4), size=SIZES)
def test_each_pixel_comes_from_one_of_two_images_with_its_label(name, seed, count, size):
    base = batch(count, tuple(size), seed)
    torch.manual_seed(seed)
    mixed = MIXES[name](base)
    assert [t.dtype for t in mixed] == [torch.float32, torch.int64, torch.float32]
    source = mixed.images[:, 0].long() // (2 * math.prod(size))  # an image's numbers are a range of their own
    own = torch.arange(count).view(-1, *(1,) * len(size)).expand_as(source)
    pasted = source != own
    assert torch.equal(source[pasted], ((own + 1) % count)[pasted])
    assert torch.equal(mixed.images, torch.where(pasted.unsqueeze(1), partner(base.images), base.images))
    if name == "classmix":
        for labels, shown in zip(partner(base.labels), pasted, strict=True):
            assert not set(labels[shown].tolist()) & set(labels[~shown].tolist()), "whole classes of the partner"
    assert torch.equal(mixed.confidence, mixed.images[:, 0] * 4 + mixed.labels)  # neither label nor confidence strays


def test_boxes_by_hand():
    places = torch.tensor([[0.0, 0.0], [0.99, 0.5], [0.5, 0.99]])
    sides = torch.tensor([[2.0, 3.0], [1.0, 1.0], [4.0, 2.0]])
    first, second, third = box_mask(places, sides, (4, 5)).long().tolist()
    assert first == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0] * 5, [0] * 5]
    assert second == [[0] * 5, [0] * 5, [0] * 5, [0, 0, 1, 0, 0]]
    assert third == [[0, 0, 0, 1, 1]] * 4
    half = half_boxes(torch.tensor([[0.0, 0.0, 0.99], [0.5, 0.99, 0.0]]), (4, 6)).long().tolist()
    assert half == [[[0, 0, 0, 1, 1, 1]] * 4, [[0] * 6] * 2 + [[1, 1, 1, 1, 1, 0]] * 2]
