import pytest
import torch
from torch import nn

from methods.shared.adversarial import adversarial_loss, frozen_statistics, soft_dice
from methods.shared.class_memory import class_rows
from methods.ss_net import SSNet, as_rows
from tests.methods.test_losses import derived_dice, softmax
from tests.methods.tiny import RAMP, RAMPED, batch_for, blobs, build, progress_at, step_loss


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 3, 1)).double()


def test_soft_dice_by_hand():
    p, q = torch.tensor([[[0.8], [0.2]]]), torch.tensor([[[0.5], [0.5]]])
    assert soft_dice(p, q).item() == pytest.approx(((1 - 0.8 / 0.89) + (1 - 0.2 / 0.29)) / 2, rel=1e-6)
    assert soft_dice(p, p).item() == pytest.approx(0.0, abs=1e-7)


def test_the_adversarial_step_is_the_unit_gradient_at_a_random_small_one():
    network = small_network()
    images = torch.rand(2, 1, 6, 5, dtype=torch.float64)
    clean = network(images).softmax(dim=1).detach()
    seen = []
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    loss = adversarial_loss(network, images, clean, probe=0.5, radius=2.0)
    probed, moved = (each - images for each in seen)
    for step, norm in ((probed, 0.5), (moved, 2.0)):
        assert step.flatten(1).norm(dim=1).tolist() == pytest.approx([norm, norm], rel=1e-5)
    gradient = torch.zeros_like(images)
    with torch.no_grad(), frozen_statistics(network):
        for place in range(images.numel()):
            change = torch.zeros_like(images)
            change.view(-1)[place] = 1e-6
            ends = [soft_dice(network(images + probed + s * change).softmax(dim=1), clean) for s in (1, -1)]
            gradient.view(-1)[place] = (ends[0] - ends[1]) / 2e-6
        direction = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        torch.testing.assert_close(moved, 2.0 * direction, rtol=1e-4, atol=1e-5)
        distance = soft_dice(network(images + moved).softmax(dim=1), clean)
    assert loss.item() == pytest.approx(distance.item(), rel=1e-10)


def test_adversarial_forwards_leave_statistics_and_input_gradients_alone():
    network = small_network()
    images = torch.rand(2, 1, 6, 5, dtype=torch.float64)
    clean = network(images).softmax(dim=1).detach()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adversarial_loss(network, images, clean, probe=0.5, radius=2.0).backward()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is not None for p in network.parameters())
    assert network[1].track_running_stats
    assert images.grad is None


def test_step_is_made_of_its_parts_and_the_labelled_one_is_dice():
    method = build(SSNet, **RAMP, contrast_weight=0.2)
    batch = batch_for(method, 6)
    maps, answers = list[torch.Tensor](), list[torch.Tensor]()
    method.net.decoder.head.register_forward_pre_hook(lambda _, args: maps.append(args[0]))
    method.net.decoder.head.register_forward_hook(lambda _, __, output: answers.append(output))
    loss = step_loss(method, batch, method.stages[0], progress_at(0.6))
    terms = {name: term.item() for name, term in loss.terms.items()}
    dice = derived_dice(softmax(answers[0].detach().double().numpy()[:3]), batch.labels.numpy())
    assert terms["dice"] == pytest.approx(dice, rel=1e-5)
    assert len(answers) == 3, "the step's own forward, the probe, the adversarial one"
    clean, adversarial = (answers[i].softmax(dim=1) for i in (0, 2))
    assert terms["adversarial"] == pytest.approx(soft_dice(adversarial, clean).item(), rel=1e-4)
    separation = terms["separation_labelled"] + terms["separation_unlabelled"]
    assert loss.total.item() == pytest.approx(dice + RAMPED * (terms["adversarial"] + 0.2 * separation), rel=1e-5)
    assert not loss.terms["ce"].requires_grad
    for name, moved in (("adversarial", [False, False, True]), ("separation_unlabelled", [True, False, False])):
        gradients = torch.autograd.grad(loss.terms[name], maps, allow_unused=True, retain_graph=True)
        assert [gradient is not None for gradient in gradients] == moved, name


def test_memory_holds_correct_foreground_pixels_and_background_none():
    method = build(SSNet, memory=8)
    _, labels = blobs(2)
    features = torch.rand(4, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    predicted = torch.cat((labels, labels.flip(0)))
    predicted[:2][labels == 2] = 1  # class 2 is never right
    projected = method.projection.eval()(as_rows(features[:2]))  # by running statistics, before the step moves them
    method.projection.train()
    losses = method._separation(features, predicted, labels)
    assert method.memory.filled.sum(dim=1).tolist() == [0, 8, 0, 8]
    for c in (1, 3):
        candidates = projected[(labels.flatten() == c)]
        nearest = torch.cdist(method.memory.entries[c], candidates).amin(dim=1)
        assert nearest.max() < 1e-3
    for loss, part, own in zip(losses, features.split(2), (labels, predicted[2:]), strict=True):
        rows, classes = method.prediction(method.projection(as_rows(part))), own.flatten()
        expected = method.memory.loss(rows, class_rows(classes, classes >= 0, 4))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
        assert loss > 0
