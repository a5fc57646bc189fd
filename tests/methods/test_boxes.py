import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api.mixing import box_mask


def test_boxes_by_hand():
    places = torch.tensor([[0.0, 0.0], [0.99, 0.5], [0.5, 0.99]])
    sides = torch.tensor([[2.0, 3.0], [1.0, 1.0], [4.0, 2.0]])
    first, second, third = box_mask(places, sides, (4, 5)).long().tolist()
    assert first == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0] * 5, [0] * 5]
    assert second == [[0] * 5, [0] * 5, [0] * 5, [0, 0, 1, 0, 0]]
    assert third == [[0, 0, 0, 1, 1]] * 4


@given(place=st.floats(0, 1, exclude_max=True, width=32), length=st.integers(1, 40), data=st.data())
def test_a_box_has_its_sides_wherever_it_lies(place: float, length: int, data: st.DataObject):
    side = data.draw(st.integers(1, length))
    mask = box_mask(torch.full((1, 3), place), torch.tensor([[side, 1, length]]), (length, 3, length))
    assert mask.shape == (1, length, 3, length)
    assert mask.sum() == side * length
    assert mask[0].any(dim=2).any(dim=1).sum() == side
