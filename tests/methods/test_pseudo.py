import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import mixing
from methods.action_parts.pseudo import unsupervised_loss


def pseudo_label(logits):
    """Of images that do not matter."""
    return mixing.pseudo_label(logits, logits)


def derived(logits, labels, confidence, threshold):
    """ReCo's rule, pixel by pixel."""
    weighted = []
    for z, y, c in zip(logits.numpy(), labels.numpy(), confidence.numpy(), strict=True):
        eta = float(np.mean([value >= threshold for value in c.ravel()]))
        for place in np.ndindex(y.shape):
            column = z[(slice(None), *place)]
            ce = math.log(np.exp(column).sum()) - column[y[place]]
            weighted += [eta * ce] if ce > 0 else []
    return float(np.mean(weighted)) if weighted else 0.0


@given(
    seed=st.integers(0, 2**31),
    images=st.integers(1, 3),
    classes=st.integers(2, 4),
    size=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    threshold=st.sampled_from([0.0, 0.5, 0.97, 1.1]),
)
def test_loss_equals_a_derivation(seed, images, classes, size, threshold):
    g = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, *size, generator=g, dtype=torch.float64)
    logits[torch.rand(logits.shape, generator=g) < 0.2] = 100.0  # some cost exactly nothing
    teacher = pseudo_label(4 * torch.randn(images, classes, *size, generator=g, dtype=torch.float64))
    found = unsupervised_loss(logits, teacher.labels, teacher.confidence, threshold)
    assert found.item() == pytest.approx(
        derived(logits, teacher.labels, teacher.confidence, threshold), rel=1e-9, abs=1e-12
    )
