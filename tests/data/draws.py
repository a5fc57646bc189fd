"""What tests of samplers draw and compare."""

import io

import torch

from harness.api.method import Batch, BatchPlan
from harness.data.sampler import Sampler, TrainingSet
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.records.schema import Augmentation

AUGMENTATIONS: tuple[Augmentation, ...] = ("weak", "none", "nnunet")


def batches(sampler: Sampler, plan: BatchPlan, count: int) -> list[Batch]:
    return [sampler.next(plan) for _ in range(count)]


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return all(
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and all(torch.equal(x, y) for x, y in zip(a.unlabelled, b.unlabelled, strict=True))
        for a, b in zip(first, second, strict=True)
    )


def assert_resumes_to_the_bit(
    data: TrainingSet, plan: BatchPlan, before: int, seed: int, augmentation: Augmentation
) -> None:
    whole = data.sampler(seed, augmentation)
    batches(whole, plan, before)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    rest = batches(whole, plan, 6)
    file.seek(0)
    resumed = data.sampler(seed + 1, augmentation)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert equal(batches(resumed, plan, 6), rest)


def assert_the_seed_alone_decides(data: TrainingSet) -> None:
    """Equal seeds draw equal batches, other seeds others, and torch's default generator is left alone."""
    plan = BatchPlan(labelled=2, unlabelled=2)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = batches(data.sampler(1, augmentation="weak"), plan, 5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert equal(first, batches(data.sampler(1, augmentation="weak"), plan, 5))
    assert not equal(first, batches(data.sampler(2, augmentation="weak"), plan, 5))


def assert_batches_are_copies(data: Slices | Volumes) -> None:
    images, labels = data.images.clone(), data.labels.clone()
    for augmentation in AUGMENTATIONS:
        batch = data.sampler(0, augmentation).next(BatchPlan(labelled=2, unlabelled=2, views=2))
        for tensor in (batch.images, batch.labels, *batch.unlabelled):
            tensor.fill_(77)
    assert torch.equal(data.images, images)
    assert torch.equal(data.labels, labels)
