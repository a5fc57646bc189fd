import io

import torch

from harness.api.method import BatchPlan

AUGMENTATIONS = ("weak", "none", "nnunet")


def batches(sampler, plan, count):
    return [sampler.next(plan) for _ in range(count)]


def equal(first, second):
    return all(
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and all(torch.equal(x, y) for x, y in zip(a.unlabelled, b.unlabelled, strict=True))
        for a, b in zip(first, second, strict=True)
    )


def assert_resumes_to_the_bit(data, plan, before, seed, augmentation):
    whole = data.sampler(seed, augmentation)
    batches(whole, plan, before)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    rest = batches(whole, plan, 6)
    file.seek(0)
    resumed = data.sampler(seed + 1, augmentation)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert equal(batches(resumed, plan, 6), rest)


def assert_the_seed_alone_decides(data):
    plan = BatchPlan(labelled=2, unlabelled=2)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = batches(data.sampler(1, augmentation="weak"), plan, 5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert equal(first, batches(data.sampler(1, augmentation="weak"), plan, 5))
    assert not equal(first, batches(data.sampler(2, augmentation="weak"), plan, 5))


def assert_batches_are_copies(data):
    images, labels = data.images.clone(), data.labels.clone()
    for augmentation in AUGMENTATIONS:
        batch = data.sampler(0, augmentation).next(BatchPlan(labelled=2, unlabelled=2, views=2))
        for tensor in (batch.images, batch.labels, *batch.unlabelled):
            tensor.fill_(77)
    assert torch.equal(data.images, images)
    assert torch.equal(data.labels, labels)
