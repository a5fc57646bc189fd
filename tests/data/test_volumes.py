import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch

from harness.api import BatchPlan, Case
from harness.data.patches import draw_places, draw_turns, no_turns, patch_indices
from harness.data.shrink import pad, padded_shape, shrink_image
from harness.data.volumes import Volumes
from harness.records.schema import Preprocessing
from tests.data.preprocessed import preprocessed

CPU = torch.device("cpu")
PATCH = (16, 16, 16)
SHAPES = {"a": (21, 18, 17), "b": (16, 30, 16), "c": (10, 19, 12), "d": (17, 17, 24)}


def drawn(shapes, size, count, turn=True):
    """[count, *size] indices; patch k comes from volume k modulo the number of volumes."""
    generator = torch.Generator().manual_seed(0)
    which = torch.arange(count) % len(shapes)
    table = torch.tensor(shapes)
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), table.prod(1).cumsum(0)[:-1]])
    turns = draw_turns(count, generator, CPU) if turn else no_turns(count, CPU)
    return patch_indices(offsets[which], table[which], draw_places(count, generator, CPU), turns, size)


def crops(volume, size):
    spans = (range(side - patch + 1) for side, patch in zip(volume.shape, size, strict=True))
    return {
        np.ascontiguousarray(volume[x : x + size[0], y : y + size[1], z : z + size[2]]).tobytes()
        for x, y, z in itertools.product(*spans)
    }


def loader_of_the_field(volume, size):
    """Patches of np.rot90 by k in 0..3, np.flip along axis 0 or 1, and a crop; how many of eight draws give each."""
    turned = (np.flip(np.rot90(volume, k), axis) for k in range(4) for axis in range(2))
    return Counter(patch for one in turned for patch in crops(one, size))


@pytest.mark.parametrize("size", [(4, 4, 3), (4, 3, 2), (3, 5, 4)], ids=str)
def test_patches_are_exactly_those_of_the_field_s_loader(size):
    shape = (6, 5, 4)
    expected = loader_of_the_field(np.arange(120).reshape(shape), size)
    assert set(expected.values()) == {2}, "each outcome of a turn and a flip comes from two of the eight"
    found = Counter(patch.numpy().tobytes() for patch in drawn([shape], size, 6000))
    assert found.keys() == expected.keys()


def test_places_and_outcomes_are_alike_likely():
    found = Counter(patch.numpy().tobytes() for patch in drawn([(5, 5, 3)], (4, 4, 3), 16_000))
    assert len(found) == 4 * 4
    assert all(abs(count - 1000) < 5 * 31 for count in found.values()), "five standard deviations"


def test_without_turns_a_patch_lies_as_in_its_volume():
    shape, size = (6, 5, 4), (3, 2, 2)
    found = {patch.numpy().tobytes() for patch in drawn([shape], size, 3000, turn=False)}
    assert found == crops(np.arange(120).reshape(shape), size)


@cache
def volumes():
    """Four patients; every voxel of a volume has a value of its own, the patient's number and its position."""
    cases = []
    for number, (patient, shape) in enumerate(SHAPES.items(), start=1):
        image = np.asarray(number + np.arange(np.prod(shape)).reshape(shape) / 10_000, np.float32)
        cases.append(Case(patient, patient, "train", image, np.full(shape, number, np.uint8)))
    return Volumes.load(preprocessed(cases, Preprocessing(size=PATCH)), ("a", "c"), CPU)


def test_padding_by_hand():
    assert padded_shape((100, 130, 70), (112, 96, 80)) == (112, 130, 80), "in plane the longer side: patches are turned"
    assert pad(torch.ones(1, 2, 2), (4, 2, 3))[:, 0].tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]]


def patients(images):
    return [int(image.max()) for image in images]


@pytest.mark.parametrize("augmentation", ["weak", "none"])
def test_streams_never_mix_and_take_every_volume_once_a_pass(augmentation):
    sampler = volumes().sampler(3, augmentation)
    assert sampler.augmentation == augmentation
    labelled: Counter[int] = Counter()
    unlabelled: Counter[int] = Counter()
    for _ in range(10):
        batch = sampler.next(BatchPlan(labelled=1, unlabelled=2, views=2))
        labelled.update(patients(batch.images))
        assert patients(batch.unlabelled[0]) == patients(batch.unlabelled[1])
        unlabelled.update(patients(batch.unlabelled[0]))
    assert labelled == {1: 5, 3: 5}
    assert unlabelled == {2: 10, 4: 10}


def test_views_are_of_the_same_window_and_turned_apart():
    batch = volumes().sampler(0, augmentation="weak").next(BatchPlan(labelled=2, unlabelled=6, views=2))
    first, second = (view.flatten(1) for view in batch.unlabelled)
    assert torch.equal(first.sort(1).values, second.sort(1).values)
    assert not torch.equal(first, second)


def test_labels_move_with_their_image():
    label = np.random.default_rng(0).integers(0, 200, (20, 18, 17), np.uint8)
    case = Case("a", "a", "train", label.astype(np.float32), label)
    sampler = Volumes.load(preprocessed([case], Preprocessing(size=PATCH)), ["a"], CPU).sampler(0, augmentation="weak")
    for _ in range(8):
        batch = sampler.next(BatchPlan(labelled=3, unlabelled=0))
        assert torch.equal(batch.images[:, 0].long(), batch.labels)


@pytest.mark.parametrize("shrink", [None, 2])
def test_predictors_get_volumes_without_the_padding_of_patches(shrink):
    rng = np.random.default_rng(0)
    shapes = {"a": (37, 40, 44), "b": (10, 19, 12), "c": (15, 33, 21)}
    cases = [Case(name, name, "train", rng.random(shape, np.float32), rng.integers(0, 9, shape).astype(np.uint8))
             for name, shape in shapes.items()]  # fmt: skip
    data = preprocessed(cases, Preprocessing(size=PATCH, shrink=shrink))
    for case, (info, image, label) in zip(cases, data.volumes(), strict=True):
        assert info.id == case.id
        np.testing.assert_array_equal(label, case.label)
        expected = shrink_image(torch.from_numpy(case.image), shrink)
        np.testing.assert_array_equal(image, expected[None])
