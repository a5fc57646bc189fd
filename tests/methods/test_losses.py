import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api import masked_dice_loss, supervised_loss
from harness.api.losses import LABELLED_LOSSES

# Two pixels in a row, two classes: p(class 0) = .8, .4; labels 0, 1.
P = torch.tensor([[[[0.8, 0.4]], [[0.2, 0.6]]]], dtype=torch.float64)
Y = torch.tensor([[[0, 1]]])


def softmax(z):
    powers = np.exp(z)
    return powers / powers.sum(axis=1, keepdims=True)


def derived_dice(p, y):
    losses = []
    for c in range(p.shape[1]):
        pairs = [(p[n, c].ravel(), (y[n] == c).ravel().astype(float)) for n in range(len(p))]
        shared = sum(float(a @ g) for a, g in pairs)
        squares = sum(float(a @ a + g @ g) for a, g in pairs)
        losses.append(1 - (2 * shared + 1e-5) / (squares + 1e-5))
    return np.mean(losses)


def dice_of(p, y, smoothing=1e-5):
    """Of pixels taken out of their images, [pixels, C] and [pixels]."""
    shares = [(p[:, c], (y == c).astype(float)) for c in range(p.shape[1])]
    return float(np.mean([1 - (2 * (a @ g) + smoothing) / (a @ a + g.sum() + smoothing) for a, g in shares]))


def derived_cross_entropy(z, y):
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return -float(np.take_along_axis(log_p, y[:, None], axis=1).mean())


def derived_supervised(z, y):
    return 0.5 * (derived_cross_entropy(z, y) + derived_dice(softmax(z), y))


@given(
    seed=st.integers(0, 2**31),
    images=st.integers(1, 3),
    classes=st.integers(2, 5),
    size=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_supervised_loss_equals_a_derivation(seed, images, classes, size):
    rng = np.random.default_rng(seed)
    z = 3 * rng.normal(size=(images, classes, *size))
    y = rng.integers(0, classes, size=(images, *size))
    loss = LABELLED_LOSSES["default"](torch.from_numpy(z), torch.from_numpy(y))
    assert loss.terms["ce"].item() == pytest.approx(derived_cross_entropy(z, y), rel=1e-9)
    assert loss.terms["dice"].item() == pytest.approx(derived_dice(softmax(z), y), rel=1e-9, abs=1e-12)
    assert loss.total.item() == pytest.approx(0.5 * (loss.terms["ce"].item() + loss.terms["dice"].item()), rel=1e-12)


def gradient_inputs():
    g = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 3, 2, generator=g, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(0, 3, (2, 3, 2), generator=g)


def test_gradients_are_finite_when_the_network_is_certain_and_wrong():
    logits = torch.full((1, 4, 2, 2), -200.0)
    logits[:, 3] = 200.0
    logits.requires_grad_()
    loss = supervised_loss(logits, torch.zeros(1, 2, 2, dtype=torch.long)).total
    assert loss.item() == pytest.approx(0.5 * (400.0 + 0.5), abs=1e-3)  # Dice: classes 0 and 3 cost 1, 1 and 2 nothing
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_nnunet_loss_by_hand():
    # Class 1 alone: p = .2, .6, label on the second: 1 - 1.20001 / 1.80001.
    loss = LABELLED_LOSSES["nnunet"](P.log() + 5.0, Y)
    assert loss.terms["ce"].item() == pytest.approx((0.2231435513 + 0.5108256238) / 2, abs=1e-9)
    assert loss.terms["dice"].item() == pytest.approx(1 - 1.20001 / 1.80001, abs=1e-9)
    assert loss.total.item() == pytest.approx(0.3669845876 + 1 - 1.20001 / 1.80001, abs=1e-9)


def test_masked_dice_of_no_pixel_costs_nothing():
    logits, labels = gradient_inputs()
    nowhere = masked_dice_loss(logits.softmax(dim=1), labels, torch.zeros_like(labels, dtype=torch.bool))
    assert nowhere.item() == 0.0
    (gradient,) = torch.autograd.grad(nowhere, logits)
    assert torch.equal(gradient, torch.zeros_like(gradient))
