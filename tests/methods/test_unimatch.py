import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.api.views import Strength
from methods import unimatch as module
from methods.unimatch import UniMatch, draw_boxes
from tests.methods.test_losses import derived_supervised, dice_of, softmax
from tests.methods.tiny import batch_for, build, progress_at, step_loss

RELEASED = Strength(0.5, 0.5, 0.8, (0.1, 2.0), 0.5)


def unimatch(**params):
    method = build(UniMatch, **params)
    with torch.no_grad():  # sure of some pixels, not of all
        method.net.state_dict()["decoder.head.weight"].mul_(12.0)
    return method


def derived_confident_dice(z, labels, confidence, threshold):
    sure = confidence >= threshold
    return dice_of(np.moveaxis(softmax(z), 1, -1)[sure], labels[sure])


class Recorded:
    def __init__(self, method, monkeypatch):
        self.images: list[Tensor] = []
        self.maps: list[list[Tensor]] = []
        self.logits: list[NDArray[np.float64]] = []
        self.training: list[bool] = []
        self.boxes: list[Tensor] = []
        method.net.encoder.register_forward_pre_hook(lambda _, args: self.images.append(args[0].clone()))
        method.net.decoder.register_forward_pre_hook(lambda _, args: self.maps.append(args[0]))
        method.net.decoder.register_forward_hook(lambda net, _, out: self._answer(net.training, out))
        monkeypatch.setattr(module, "draw_boxes", self._draw)

    def _answer(self, training, logits):
        self.training.append(training)
        self.logits.append(logits.detach().double().numpy())

    def _draw(self, *args):
        self.boxes.append(draw_boxes(*args))
        return self.boxes[-1]


@pytest.mark.parametrize("variant", ["unimatch", "fixmatch"])
def test_step_equals_an_independent_derivation(variant, monkeypatch):
    method = unimatch(variant=variant, confident=0.6, strong_weight=0.7, feature_weight=0.3)
    batch = batch_for(method, 8)
    (weak,) = batch.unlabelled
    for _ in range(20):  # until running statistics let it see something in evaluation mode
        method.net(weak)
    recorded = Recorded(method, monkeypatch)
    loss = step_loss(method, batch, method.stages[0], progress_at(0.5))

    assert recorded.training == [False, True, True], (
        "partners are labelled in evaluation mode, and the mode is put back"
    )
    assert method.net.training
    assert torch.equal(recorded.images[0], weak)
    assert torch.equal(recorded.images[1], torch.cat((batch.images, weak)))
    given, z, answers = recorded.logits
    own, other = softmax(z[4:8]), np.roll(softmax(given), -1, axis=0)
    assert (other.argmax(axis=1) != softmax(given).argmax(axis=1)).any()
    views = np.split(answers, len(answers) // 4)
    assert len(views) == len(recorded.boxes) == (2 if variant == "unimatch" else 1)
    strong = []
    for view, boxes in zip(views, recorded.boxes, strict=True):
        box = boxes.numpy()
        labels = np.where(box, other.argmax(axis=1), own.argmax(axis=1))
        strong.append(derived_confident_dice(view, labels, np.where(box, other.max(axis=1), own.max(axis=1)), 0.6))
    y = batch.labels.numpy()
    total = derived_supervised(z[:4], y) + 0.7 * np.mean(strong)
    if variant == "unimatch":
        features = derived_confident_dice(z[8:], own.argmax(axis=1), own.max(axis=1), 0.6)
        assert loss.terms["features"].item() == pytest.approx(features, rel=1e-4)
        total += 0.3 * features
    assert loss.terms["strong"].item() == pytest.approx(np.mean(strong), rel=1e-4)
    assert 0.05 < loss.terms["mask_share"].item() < 0.95
    assert loss.total.item() == pytest.approx(0.5 * total, rel=1e-4)


def test_strong_views_show_the_next_image_inside_the_box_and_nothing_moves(monkeypatch):
    monkeypatch.setattr(module, "strong", lambda images, strength: images if strength == RELEASED else 0 * images)
    method = unimatch()
    batch = batch_for(method, 6)
    (weak,) = batch.unlabelled
    recorded = Recorded(method, monkeypatch)
    step_loss(method, batch, method.stages[0], progress_at(0.5))
    boxes = torch.stack(recorded.boxes).unsqueeze(2)
    expected = torch.where(boxes, weak[[1, 2, 0]], weak)
    assert torch.equal(recorded.images[2], expected.flatten(0, 1))


def test_whole_channels_of_unlabelled_maps_are_dropped_on_all_levels(monkeypatch):
    method = unimatch()
    recorded = Recorded(method, monkeypatch)
    step_loss(method, batch_for(method, 6), method.stages[0], progress_at(0.5))
    assert [len(maps[0]) for maps in recorded.maps] == [3, 9, 6]
    for level in recorded.maps[1]:
        whole, perturbed = level[3:6].detach().flatten(2), level[6:].detach().flatten(2)
        dropped = (perturbed == 0).all(dim=2) & (whole != 0).any(dim=2)
        kept = torch.isclose(perturbed, 2 * whole, rtol=1e-5).all(dim=2)
        assert (dropped | kept).all()
        assert dropped.any()
        assert kept.any()


@pytest.mark.parametrize("size", [(64, 48), (24, 32, 16)])
def test_boxes_have_their_chance_and_their_share_of_the_image(size):
    torch.manual_seed(0)
    boxes = draw_boxes(4000, size, torch.device("cpu"))
    assert boxes.shape == (4000, *size)
    shares = boxes.flatten(1).float().mean(dim=1)
    boxed = shares > 0
    assert boxed.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.max() <= 0.4
    assert shares[boxed].mean().item() == pytest.approx(0.2, abs=0.03), "2 to 40 %, less what is rounded and shortened"
