import numpy as np
import pytest
import torch

from harness.api.losses import dice_loss, masked_dice_loss
from tests.methods.test_losses import gradient_inputs


def test_it_is_the_dice_of_the_pixels_taken_out():
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(3, 4, 5, 6, generator=generator, dtype=torch.float64).softmax(dim=1)
    labels = torch.randint(4, (3, 5, 6), generator=generator)
    mask = torch.rand(3, 5, 6, generator=generator) < 0.4
    kept, given = np.moveaxis(p.numpy(), 1, -1)[mask], labels[mask].numpy()  # [pixels, C]
    shares = [(kept[:, c], (given == c).astype(float)) for c in range(4)]
    losses = [1 - (2 * (a * g).sum() + 1e-5) / ((a**2).sum() + g.sum() + 1e-5) for a, g in shares]
    assert masked_dice_loss(p, labels, mask).item() == pytest.approx(np.mean(losses), rel=1e-12)


def test_all_pixels_and_none():
    logits, labels = gradient_inputs()
    everywhere = torch.ones_like(labels, dtype=torch.bool)
    whole = dice_loss(logits.softmax(dim=1), labels)
    assert masked_dice_loss(logits.softmax(dim=1), labels, everywhere).item() == pytest.approx(whole.item(), rel=1e-12)
    nowhere = masked_dice_loss(logits.softmax(dim=1), labels, ~everywhere)
    assert nowhere.item() == 0.0
    (gradient,) = torch.autograd.grad(nowhere, logits)
    assert torch.equal(gradient, torch.zeros_like(gradient))


def test_gradients_are_the_numerical_ones_and_one_mask_serves_all_images():
    logits, labels = gradient_inputs()
    mask = torch.rand(labels.shape[1:], generator=torch.Generator().manual_seed(1)) < 0.5
    assert torch.autograd.gradcheck(lambda z: masked_dice_loss(z.softmax(dim=1), labels, mask), (logits,))
    each = masked_dice_loss(logits.softmax(dim=1), labels, mask.expand_as(labels))
    assert torch.equal(each, masked_dice_loss(logits.softmax(dim=1), labels, mask))
