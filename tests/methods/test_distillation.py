import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.action_parts.neighbours import LabelledBank

sizes = st.integers(1, 7)
pushes = st.lists(st.lists(st.integers(-1, 3), min_size=1, max_size=20), max_size=8)


def slots(history, size):
    """What a ring of `size` slots holds after all of history was written, one after the other; -1 where nothing."""
    ring = [-1] * size
    for n, value in enumerate(history):
        ring[n % size] = value
    return ring


@given(size=sizes, pushes=pushes)
def test_labelled_bank_passes_rows_over(size, pushes):
    bank, kept, labels = LabelledBank(size, 1), list[int](), list[int]()
    number = 0
    for push in pushes:
        rows = torch.arange(number + 1, number + 1 + len(push), dtype=torch.float32).unsqueeze(1)
        bank.enqueue_labelled(rows, torch.tensor(push))
        kept.extend(int(row) for row, label in zip(rows[:, 0], push, strict=True) if label >= 0)
        labels.extend(label for label in push if label >= 0)
        number += len(push)
    assert bank.entries[:, 0].tolist() == [max(n, 0) for n in slots(kept, size)]
    assert bank.labels.tolist() == slots(labels, size)
    assert bank.filled.equal(bank.labels >= 0)
