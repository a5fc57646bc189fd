import math

import numpy as np
import pytest
import torch

from harness.api import Batch, BatchPlan, OptimiserSettings, largest_components
from methods.bcp import BCP
from tests.methods.test_losses import derived_cross_entropy, dice_of, softmax
from tests.methods.tiny import Recorder, batch_for, blobs, build, progress_at, step_loss


def derived(logits, labels, part):
    z, y = np.moveaxis(logits, 1, -1)[:, part].reshape(-1, logits.shape[1]), labels[:, part].ravel()
    return dice_of(softmax(z), y, smoothing=1e-10), derived_cross_entropy(z, y)


def mask_of(mixed, shown):
    return (mixed == shown).all(dim=0)[0].numpy()


def unlike(count):
    """Images without any value in common."""
    return torch.arange(count * 32 * 32, dtype=torch.float32).view(count, 1, 32, 32) / (count * 32 * 32)


def test_first_stage_equals_an_independent_derivation():
    method = build(BCP)
    stage = method.stages[0]
    with torch.no_grad():  # a class that no part has and that gets little of a pixel: what smooths the Dice shows
        method.student.state_dict()["decoder.head.bias"][3] = -9.0
    labels = blobs(5)[1].clamp(max=2)
    batch = Batch(unlike(5), labels)
    student = Recorder(method.student)
    loss = step_loss(method, batch, stage, progress_at(0.5))
    (mixed,), (logits,) = student.inputs, student.outputs
    part = mask_of(mixed, batch.images[:3])
    assert (~part).sum() == 21 * 21
    assert torch.equal(mixed, torch.where(torch.as_tensor(part), batch.images[:3], batch.images[2:]))
    z = logits.double().numpy()
    shown, below = derived(z, labels[:3].numpy(), part), derived(z, labels[2:].numpy(), ~part)
    assert loss.terms["dice"].item() == pytest.approx(shown[0] + below[0], rel=1e-5)
    assert loss.terms["ce"].item() == pytest.approx(shown[1] + below[1], rel=1e-5)
    assert loss.total.item() == pytest.approx((sum(shown) + sum(below)) / 2, rel=1e-5)


@pytest.mark.parametrize("keep_largest", [True, False])
def test_self_training_equals_an_independent_derivation(keep_largest):
    method = build(BCP, pseudo_weight=0.3, largest_component=keep_largest)
    stage = method.stages[1]
    with torch.no_grad():  # make the teacher label something of every class
        method.teacher.state_dict()["decoder.head.weight"].mul_(8.0)
    images, labels = unlike(8), blobs(8)[1]
    batch = Batch(images[:4], labels[:4], (images[4:],))
    student, teacher = Recorder(method.student), Recorder(method.teacher)
    loss = step_loss(method, batch, stage, progress_at(0.5))

    assert torch.equal(torch.cat(teacher.inputs), images[4:])
    pseudo = [each.argmax(dim=1) for each in teacher.outputs]
    if keep_largest:
        pseudo = [largest_components(each, 4) for each in pseudo]
    first, second = student.inputs  # x_u, x_l
    part = mask_of(first, images[4:6])
    inside = torch.as_tensor(part)
    assert torch.equal(first, torch.where(inside, images[4:6], images[:2]))
    assert torch.equal(second, torch.where(inside, images[2:4], images[6:]))
    z_u, z_l = student.arrays()
    given = np.add(derived(z_u, labels[:2].numpy(), ~part), derived(z_l, labels[2:4].numpy(), part))
    guessed = np.add(derived(z_u, pseudo[0].numpy(), part), derived(z_l, pseudo[1].numpy(), ~part))
    terms = {name: term.item() for name, term in loss.terms.items()}
    assert [terms["dice"], terms["ce"]] == pytest.approx(list(given), rel=1e-5)
    assert [terms["pseudo_dice"], terms["pseudo_ce"]] == pytest.approx(list(guessed), rel=1e-5)
    assert loss.total.item() == pytest.approx((given.sum() + 0.3 * guessed.sum()) / 2, rel=1e-5)


def test_self_training_starts_from_the_first_stage_and_averages_statistics_too():
    method = build(BCP, ema_decay=0.75)
    for stage in method.stages:
        method.start_stage(stage)
        sgd = method.optimiser(stage, OptimiserSettings(learning_rate=0.05))
        before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
        if stage.name == "self_training":
            student = method.student.state_dict()
            assert all(torch.equal(value, student[name]) for name, value in before.items())
        step_loss(method, batch_for(method), stage, progress_at(0.5)).total.backward()
        sgd.step()
        teaching = {name: value.clone() for name, value in method.teacher.state_dict().items()}
        method.after_step(stage, progress_at(0.5))
        after = method.teacher.state_dict()
        if stage.name == "labelled":
            assert all(torch.equal(after[name], before[name]) for name in before)
    student = method.student.state_dict()
    for name, value in after.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, 0.75 * teaching[name] + 0.25 * student[name], rtol=1e-5, atol=1e-6)


def test_the_first_stage_takes_labelled_images_alone():
    method = build(BCP)
    plans = [method.batches(stage, 24) for stage in method.stages]
    assert plans == [BatchPlan(labelled=24, unlabelled=0), BatchPlan(labelled=12, unlabelled=12)]


def test_the_box_is_one_for_all_images_and_two_thirds_of_each_side():
    method = build(BCP)
    for size, sides in (((96, 33), (64, 22)), ((32, 32, 16), (21, 21, 10))):
        mask = method._mask(torch.zeros(2, 1, *size))
        assert mask.shape == size
        assert (~mask).sum() == math.prod(sides)
