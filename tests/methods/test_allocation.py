import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from methods.action_parts.allocation import Allocation, capacities
from methods.action_parts.centers import class_centers

AXES = torch.eye(4)


def pixels(count, dimension, n_classes, seed=0):
    """Unit features [N, d] and labels [N]."""
    generator = torch.Generator().manual_seed(seed)
    features = F.normalize(torch.randn(count, dimension, generator=generator), dim=1)
    return features, torch.randint(0, n_classes, (count,), generator=generator)


def unit(*values):
    return F.normalize(torch.tensor(values, dtype=torch.float32), dim=0)


def update(allocation, features, labels, momentum=0.1):
    allocation.update(features, labels, torch.ones_like(labels, dtype=torch.bool), momentum)


def test_prototypes_by_hand():
    allocation = Allocation(AXES[:2], n_classes=2)
    features = torch.stack((unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)))
    update(allocation, features, torch.tensor([0, 0, 1]))
    assert torch.allclose(allocation.prototypes, torch.stack((unit(1, 1, 0, 0), unit(0, 0, 1, 0))))  # copied: the first
    update(allocation, unit(0, 0, 0, 1).unsqueeze(0), torch.tensor([0]))
    expected = unit(0.9 * math.sqrt(0.5), 0.9 * math.sqrt(0.5), 0, 0.1)
    assert torch.allclose(allocation.prototypes[0], expected)
    assert torch.allclose(allocation.prototypes[1], unit(0, 0, 1, 0))  # absent: left alone
    assert allocation.chosen_since.tolist() == [3, 1]


@given(seed=st.integers(0, 500))
def test_assignment_is_the_best_of_all_permutations(seed):
    allocation = Allocation(class_centers(3, 8, seed), n_classes=3)
    update(allocation, *pixels(40, 8, 3, seed))
    allocation.reassign()
    cosines = allocation.prototypes @ allocation.centres.T
    best = max(itertools.permutations(range(3)), key=lambda p: sum(cosines[c, p[c]].item() for c in range(3)))
    assert allocation.assignment.tolist() == list(best)


def test_a_pixel_takes_the_nearest_centre_of_its_own_class():
    allocation = Allocation(AXES, n_classes=2)  # class 0: axes 0, 1; class 1: axes 2, 3
    features = torch.stack((unit(3, 2, 9, 0), unit(2, 3, 9, 0), unit(9, 0, 1, 2), unit(9, 0, -1, -2)))
    labels = torch.tensor([0, 0, 1, 1])
    target = allocation.target(features, labels)
    assert target.tolist() == [0, 1, 3, 2]
    masked = allocation.own_class_mask(labels, target)
    assert masked.nonzero().tolist() == [[0, 1], [1, 0], [2, 2], [3, 3]]
    allocation.assignment.copy_(torch.tensor([0, 2, 1, 3]))  # now class 0: axes 0, 2; class 1: axes 1, 3
    target = allocation.target(features, labels)
    assert target.tolist() == [2, 2, 3, 1]
    assert allocation.own_class_mask(labels, target).nonzero().tolist() == [[0, 0], [1, 0], [2, 1], [3, 3]]


def test_dead_slots_take_the_pixels_least_like_the_others():
    allocation = Allocation(torch.eye(6), n_classes=2)
    update(allocation, torch.eye(6)[:1], torch.tensor([0]))
    candidates = torch.stack((unit(1, 0.1, 0, 0, 0, 0), unit(-1, 0, 0.1, 0, 0, 0), unit(0, 0, 1, 0, 0, 0)))
    outsiders = torch.stack((unit(-1, 0, 0, 0, 0, 0), unit(-1, 0, 0, 0, 0, 0)))
    features, labels = torch.cat((candidates, outsiders)), torch.tensor([0, 0, 0, 1, -1])
    allocation.reassign(features, labels)
    expected = torch.stack((unit(1, 0, 0, 0, 0, 0), candidates[1], candidates[2]))
    assert torch.allclose(allocation.prototypes[:3], expected)
    assert (allocation.prototypes[3:] == 0).all()  # nobody chose class 1: absent, not dead
    assert sorted(allocation.assignment.tolist()) == list(range(6))
    assert allocation.assignment[0] == 0
    assert allocation.assignment[2] == 2


@pytest.mark.parametrize(
    ("voxels", "total", "expected"),
    [
        ((8100, 900, 900, 100), 16, [9, 3, 3, 1]),  # roots 90, 30, 30, 10: exact shares
        ((10**9, 1, 0, 0), 7, [4, 1, 1, 1]),
        ((4, 1), 3, [2, 1]),
    ],
)
def test_capacities_by_hand(voxels, total, expected):
    assert capacities(voxels, total) == expected
