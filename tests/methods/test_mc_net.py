import pytest
import torch

from methods.mc_net import MCNet, sharpen
from tests.methods.test_losses import derived_cross_entropy, derived_dice, softmax
from tests.methods.tiny import RAMP, RAMPED, Recorder, batch_for, build, loss_of


def by_powers(p, temperature):
    """The formula as printed."""
    own, other = p ** (1 / temperature), (1 - p) ** (1 / temperature)
    return own / (own + other)


@pytest.mark.parametrize("temperature", [0.02, 0.1, 0.3, 1.0])
def test_sharpening_has_finite_values_and_gradients_at_the_ends(temperature):
    ends = torch.tensor([0.0, 1e-45, 1e-12, 1e-7, 0.5, 1 - 1.2e-7, 1.0], requires_grad=True)
    sharp = sharpen(ends, temperature)
    assert torch.autograd.grad(sharp.sum(), ends)[0].isfinite().all()
    assert ((sharp >= 0) & (sharp <= 1)).all()
    assert sharp[0].item() == pytest.approx(0.0, abs=2e-7)
    assert sharp[-1].item() == pytest.approx(1.0, abs=2e-7)


@pytest.mark.parametrize(
    ("params", "factor", "constant"),
    [
        ({}, 0.5, 0.0),
        ({"dice_form": "release", "supervised_weight": 1.0}, 0.5, 1.0),  # two decoders, one half each
        ({"supervised_weight": 2.0}, 2.0, 0.0),
        ({"decoders": 3}, 0.5, 0.0),
    ],
)
def test_step_equals_an_independent_derivation(params, factor, constant):
    method = build(MCNet, **RAMP | {"temperature": 0.2} | params)
    batch = batch_for(method, 6)
    network = Recorder(method.net)
    got = loss_of(method, batch, share=0.6)
    (logits,) = network.arrays()
    p = [softmax(z) for z in logits]
    assert (len(p), len(p[0])) == (params.get("decoders", 2), 6)
    sharp = [by_powers(each, 0.2) for each in p]
    consistency = sum(((p[i] - sharp[j]) ** 2).mean() for i in range(len(p)) for j in range(len(p)) if i != j)
    labels = batch.labels.numpy()
    dice = [derived_dice(each[:3], labels) for each in p]
    assert got["consistency"] == pytest.approx(consistency, rel=1e-4)
    assert got["ce"] == pytest.approx(derived_cross_entropy(logits[0][:3], labels), rel=1e-5)
    assert got["total"] == pytest.approx(factor * sum(dice) + constant + RAMPED * consistency, rel=1e-4)
