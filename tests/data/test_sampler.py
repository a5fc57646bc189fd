import io
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import BatchPlan, Case
from harness.data.slices import Slices, SliceSampler
from harness.data.stream import Stream
from harness.records.schema import Augmentation, Preprocessing
from tests.data.preprocessed import preprocessed
from tests.data.test_volumes import volumes

CPU = torch.device("cpu")


def case(number, patient, slices):
    """Every slice is constant and tells which it is: image number + slice / 10, label 1 everywhere."""
    values = (number + np.arange(slices) / 10).astype(np.float32)
    image = np.broadcast_to(values[:, None, None], (slices, 16, 16)).copy()
    return Case(f"case{number}", patient, "train", image, np.ones(image.shape, np.uint8))


@cache
def training_set():
    """Patients a (two volumes: 3 + 2 slices), b (4), c (1), d (2)."""
    cases = [case(1, "a", 3), case(2, "a", 2), case(3, "b", 4), case(4, "c", 1), case(5, "d", 2)]
    return Slices.load(preprocessed(cases, Preprocessing(size=(16, 16))), ("a", "c"), CPU)


def test_slices_know_what_their_pixels_cover():
    """A slice of 40 x 36 at 16 x 32: a pixel is 2.5 rows high and 1.125 columns wide."""
    native = Case("a", "a", "train", np.zeros((2, 40, 36), np.float32), np.zeros((2, 40, 36), np.uint8))
    square = Case("b", "b", "train", np.zeros((1, 20, 40), np.float32), np.zeros((1, 20, 40), np.uint8))
    data = Slices.load(preprocessed([native, square], Preprocessing(size=(16, 32))), ("a",), CPU)
    assert data.aspects.tolist() == pytest.approx([1.125 / 2.5, 1.125 / 2.5, 1.25 / 1.25])


LABELLED = {1.0, 1.1, 1.2, 2.0, 2.1, 4.0}
UNLABELLED = {3.0, 3.1, 3.2, 3.3, 5.0, 5.1}


def seen(images):
    """Which slices a batch holds: rotations leave the middle of a constant image as it is."""
    return [round(value, 1) for value in images[:, 0, 8, 8].tolist()]


@given(size=st.integers(1, 12), counts=st.lists(st.integers(1, 30), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_each_index_comes_once_a_pass_whatever_the_batches(size, counts, seed):
    stream = Stream("labelled", torch.arange(size) + 100, torch.Generator().manual_seed(seed))
    batches = [stream.next(count) for count in counts]
    assert [len(batch) for batch in batches] == counts
    order = torch.cat(batches).tolist()
    for start in range(0, len(order), size):
        run = order[start : start + size]
        assert len(set(run)) == len(run), "twice within a pass"
        if len(run) == size:
            assert set(run) == set(range(100, 100 + size))


def test_passes_are_in_different_orders():
    stream = Stream("labelled", torch.arange(20), torch.Generator().manual_seed(0))
    assert len({tuple(stream.next(20).tolist()) for _ in range(10)}) == 10


@pytest.mark.parametrize("augmentation", ["weak", "none"])
def test_streams_never_mix(augmentation):
    sampler = SliceSampler(training_set(), seed=3, augmentation=augmentation)
    labelled: Counter[float] = Counter()
    unlabelled: Counter[float] = Counter()
    for _ in range(30):
        batch = sampler.next(BatchPlan(labelled=2, unlabelled=3, views=2))
        labelled.update(seen(batch.images))
        unlabelled.update(seen(batch.unlabelled[0]))
        assert seen(batch.unlabelled[0]) == seen(batch.unlabelled[1]), "views are of the same images"
    assert labelled.keys() == LABELLED
    assert set(labelled.values()) == {10}
    assert unlabelled.keys() == UNLABELLED
    assert set(unlabelled.values()) == {15}


def test_views_are_augmented_independently():
    data = training_set()
    ramp = torch.arange(256.0).reshape(1, 1, 16, 16).expand(12, 1, 16, 16).contiguous()
    sampler = SliceSampler(replace(data, images=ramp), seed=0, augmentation="weak")
    first, second = sampler.next(BatchPlan(labelled=1, unlabelled=6, views=2)).unlabelled
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert len({view.numpy().tobytes() for view in first}) > 1, "each image of a batch has its own"


def test_labels_of_unlabelled_slices_are_never_handed_out():
    data = training_set()
    labels = data.labels.clone()
    labels[data.unlabelled] = 99
    sampler = SliceSampler(replace(data, labels=labels), seed=0, augmentation="weak")
    for _ in range(20):
        batch = sampler.next(BatchPlan(labelled=4, unlabelled=4, views=2))
        assert set(batch.labels.unique().tolist()) <= {0, 1}
        for view in batch.unlabelled:
            assert 99 not in view


AUGMENTATIONS: tuple[Augmentation, ...] = ("weak", "none", "nnunet")
slices_and_volumes = pytest.mark.parametrize("make", [training_set, volumes])


def batches(sampler, plan, count):
    return [sampler.next(plan) for _ in range(count)]


def equal(first, second):
    return all(
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and all(torch.equal(x, y) for x, y in zip(a.unlabelled, b.unlabelled, strict=True))
        for a, b in zip(first, second, strict=True)
    )


@slices_and_volumes
def test_what_a_method_writes_into_a_batch_stays_there(make):
    data = make()
    images, labels = data.images.clone(), data.labels.clone()
    for augmentation in AUGMENTATIONS:
        batch = data.sampler(0, augmentation).next(BatchPlan(labelled=2, unlabelled=2, views=2))
        for tensor in (batch.images, batch.labels, *batch.unlabelled):
            tensor.fill_(77)
    assert torch.equal(data.images, images)
    assert torch.equal(data.labels, labels)


@slices_and_volumes
@settings(max_examples=9)
@given(before=st.integers(0, 9), seed=st.integers(0, 50), augmentation=st.sampled_from(AUGMENTATIONS))
def test_resumed_in_the_middle_of_a_pass_to_the_bit(make, before, seed, augmentation):
    plan = BatchPlan(labelled=1, unlabelled=5, views=2)  # which divides no stream of unlabelled images
    whole = make().sampler(seed, augmentation)
    batches(whole, plan, before)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    rest = batches(whole, plan, 6)
    file.seek(0)
    resumed = make().sampler(seed + 1, augmentation)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert equal(batches(resumed, plan, 6), rest)


def test_the_seed_alone_decides_and_the_default_generator_is_left_alone():
    plan = BatchPlan(labelled=2, unlabelled=2)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = batches(training_set().sampler(1, "weak"), plan, 5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert equal(first, batches(training_set().sampler(1, "weak"), plan, 5))
    assert not equal(first, batches(training_set().sampler(2, "weak"), plan, 5))
