import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.stats.families import rank_bounds


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.integers(1, 8), elements=st.integers(0, 9).map(float)), st.integers(0, 4))
def test_the_rank_by_the_means_lies_within_the_bounds(means, threshold):
    """Differences above a threshold are apart: then every method's own place is one that it can have."""
    best, worst = rank_bounds(means[:, None] - means[None, :] > threshold)
    highest = 1 + (means[:, None] > means[None, :]).sum(axis=0)
    lowest = (means[:, None] >= means[None, :]).sum(axis=0)
    assert (best <= highest).all()
    assert (worst >= lowest).all()
    assert best.min() == 1
    assert worst.max() == len(means)
