import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.action_parts.centers import _class_centers, class_centers


def cosines(centres):
    count = len(centres)
    exact = centres.double()
    return (exact @ exact.T)[*torch.triu_indices(count, count, 1)]


@settings(max_examples=60)
@given(dimension=st.integers(1, 128), below=st.integers(0, 127), seed=st.integers(0, 2**31))
def test_up_to_d_plus_1_they_are_the_regular_simplex(dimension, below, seed):
    count = max(dimension + 1 - below, 2)
    centres = class_centers(count, dimension, seed)
    assert centres.shape == (count, dimension)
    assert centres.dtype == torch.float32
    assert torch.allclose(centres.norm(dim=1), torch.ones(count), rtol=0, atol=1e-6)
    assert (cosines(centres) + 1 / (count - 1)).abs().max() <= 1e-6
    assert centres.double().sum(dim=0).abs().max() <= 1e-5


# Largest cosines of the best known codes (Sloane's tables); the exact ones are optimal at every temperature.
EXACT = {(5, 2): math.cos(2 * math.pi / 5), (6, 3): 0.0, (12, 3): 5**-0.5, (16, 5): 0.2, (27, 6): 0.25, (32, 16): 0.0}


@pytest.mark.parametrize(("shape", "best"), EXACT.items())
def test_symmetric_codes_are_reached(shape, best):
    assert cosines(class_centers(shape[0], shape[1], 1)).max().item() == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(("count", "dimension"), [(4, 16), (6, 3), (9, 3)])
def test_the_seed_decides_everything(count, dimension):
    first = class_centers(count, dimension, 11)
    _class_centers.cache_clear()
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(class_centers(count, dimension, 11), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.allclose(class_centers(count, dimension, 12), first, atol=1e-2)
