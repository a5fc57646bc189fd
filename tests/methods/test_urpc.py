import numpy as np
import pytest
import torch
import torch.nn.functional as F

from methods.urpc import URPC, pyramid_consistency, with_noise, without_peaks
from tests.methods.test_losses import derived_cross_entropy, derived_supervised, gradient_inputs, softmax
from tests.methods.tiny import RAMP, RAMPED, Recorder, batch_for, build, loss_of


def derived_consistency(p):
    """Scale by scale as printed."""
    mean, losses = sum(p) / len(p), []
    for each in p:
        v = (mean * np.log(mean / each)).sum(axis=1, keepdims=True)
        losses.append(((mean - each) ** 2 * np.exp(-v)).mean() / (np.exp(-v).mean() + 1e-8) + v.mean())
    return np.mean(losses)


def test_step_equals_an_independent_derivation():
    method = build(URPC, **RAMP)
    batch = batch_for(method, 6)
    network = Recorder(method.net)
    got = loss_of(method, batch, share=0.6)
    (z,), labels = network.arrays(), batch.labels.numpy()
    assert len(z) == 4
    supervised = [derived_supervised(each[:3], labels) for each in z]
    consistency = derived_consistency([softmax(each[3:]) for each in z])
    assert got["consistency"] == pytest.approx(consistency, rel=1e-4)
    assert got["ce"] == pytest.approx(derived_cross_entropy(z[0][:3], labels), rel=1e-5)
    assert got["coarse"] == pytest.approx(sum(supervised[1:]) / 3, rel=1e-5)
    assert got["total"] == pytest.approx(sum(supervised) / 4 + RAMPED * consistency, rel=1e-4)


def test_heads_read_three_scales_each_perturbed_in_its_own_way():
    method = build(URPC)
    ups = method.net.backbone.get_submodule("decoder.ups")
    maps, heads = ([Recorder(layer) for layer in layers.children()] for layers in (ups, method.net.heads))
    logits, ratios = method.net(batch_for(method).images), []
    for plain, head, answer in zip(maps[:3], heads, reversed(logits[1:]), strict=True):
        assert torch.equal(answer, F.interpolate(head.outputs[0], (32, 32), mode="nearest"))
        ratios.append(head.inputs[0] / plain.outputs[0])
    assert [tuple(ratio.shape[1:]) for ratio in ratios] == [(128, 4, 4), (64, 8, 8), (32, 16, 16)]
    assert [ratio.unique().tolist() for ratio in ratios[:2]] == [[0.0, 2.0], [0.0, 1.0]], "dropout, peaks"
    assert (ratios[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert 0.69 < ratios[2].min() < ratios[2].max() < 1.31


def test_agreement_costs_nothing_and_certain_disagreement_stays_finite():
    logits, _ = gradient_inputs()
    assert pyramid_consistency([logits, logits])[0].item() == pytest.approx(0.0, abs=1e-12)
    sure = torch.tensor([[[500.0], [-500.0]]], requires_grad=True)
    loss, uncertainty = pyramid_consistency([sure, -sure])
    assert uncertainty.item() > 100
    assert torch.autograd.grad(loss, sure)[0].isfinite().all()


def test_peaks_are_the_highest_mean_activations():
    torch.manual_seed(0)
    features = torch.rand(2, 3, 8, 8)
    features[:, :, 0, 0] = 2.0
    features[1] *= 0.5
    kept = without_peaks(features)
    mean = features.mean(dim=1) / torch.tensor([2.0, 1.0]).view(2, 1, 1)
    dropped = (kept == 0).all(dim=1)
    assert dropped[:, 0, 0].all()
    assert not dropped[mean < 0.7].any()
    assert dropped[mean >= 0.9].all()
    assert torch.equal(kept[~dropped.unsqueeze(1).expand_as(kept)], features[~dropped.unsqueeze(1).expand_as(kept)])


def test_noise_is_the_same_for_all_images_and_within_three_tenths():
    torch.manual_seed(0)
    factors = with_noise(torch.ones(2, 3, 40, 40))
    assert torch.equal(factors[0], factors[1])
    assert 0.7 <= factors.min() < 0.71
    assert 1.29 < factors.max() <= 1.3
    assert factors.mean().item() == pytest.approx(1.0, abs=0.01)
