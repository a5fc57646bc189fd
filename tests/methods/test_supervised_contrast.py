import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from methods.action_parts.arithmetic import NEVER
from methods.action_parts.neighbours import LabelledBank
from methods.action_parts.pixel_contrast import (
    Anchors,
    Targets,
    _QueueLogSumExp,
    draw_anchors,
    draw_positives,
    supervised_contrast_loss,
)
from tests.methods.references import supervised_contrast

CLASSES = 3


def unit(*shape):
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


class Scene:
    """Eight labelled anchors, a queue of ten entries after `pushed` rows, two centres a class."""

    def __init__(self, pushed, queued=(0, 1, 2), absent=-1, only=None):
        torch.manual_seed(pushed)
        self.leaf = torch.randn(8, 4, dtype=torch.float64, requires_grad=True)
        self.labels = torch.randint(CLASSES, (8,)) if only is None else torch.full((8,), only)
        used = self.labels != absent
        self.anchors = Anchors(F.normalize(self.leaf, dim=1), unit(8, 4), self.labels, used)
        bank = LabelledBank(10, 4).double()
        if pushed:
            bank.enqueue_labelled(unit(pushed, 4), torch.tensor(queued)[torch.randint(len(queued), (pushed,))])
        self.queue = bank
        own = torch.arange(2 * CLASSES) // 2 == self.labels.unsqueeze(1)
        chosen = 2 * self.labels + torch.randint(2, (8,))
        self.targets = Targets(unit(2 * CLASSES, 4), chosen, own & (torch.arange(2 * CLASSES) != chosen.unsqueeze(1)))

    def expected(self, draw, tau, weight):
        kept = self.anchors.used.nonzero().flatten().tolist()
        filled = int((self.queue.labels >= 0).sum())
        positives = None
        if draw is not None:
            positives = [draw.entries[i].tolist() if draw.present[i] else [] for i in kept]
        return supervised_contrast(
            self.anchors.student[kept],
            self.anchors.teacher[kept],
            self.labels[kept].tolist(),
            list(zip(self.queue.entries[:filled], self.queue.labels[:filled].tolist(), strict=True)),
            self.targets.centres,
            self.targets.chosen[kept].tolist(),
            self.targets.masked[kept].tolist(),
            positives,
            tau,
            weight,
        )


@pytest.mark.parametrize("release", [False, True])
@pytest.mark.parametrize(
    ("pushed", "queued", "absent", "only"),
    [
        (0, (0,), -1, None),
        (4, (0, 1, 2), -1, None),
        (10, (1,), -1, None),
        (10, (0, 1, 2), 1, None),
        (10, (0, 1, 2), -1, 2),
        (6, (0,), -1, 2),
        (27, (0, 2), 0, None),
    ],
    ids=["empty", "part", "one class queued", "class absent", "one class", "one class, not queued", "wrapped"],
)
def test_loss_equals_the_loops(pushed, queued, absent, only, release):
    scene = Scene(pushed, queued, absent, only)
    draw = None if release else draw_positives(scene.queue.labels, scene.labels, CLASSES, 6)
    found = supervised_contrast_loss(scene.anchors, scene.queue, scene.targets, draw, 0.2, 0.3)
    expected = scene.expected(draw, 0.2, 0.3)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
    mine, theirs = (torch.autograd.grad(loss, scene.leaf, retain_graph=True)[0] for loss in (found, expected))
    assert theirs.norm() > 0
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-13)


@given(seed=st.integers(0, 2**31), filled=st.floats(0, 1), scale=st.floats(-2, 4))
def test_queue_a_few_entries_at_a_time_equals_logsumexp(seed, filled, scale):
    torch.manual_seed(seed)
    rows = (10.0**scale * unit(4, 5)).requires_grad_()  # logits far beyond what an exponential can hold
    entries, bias = unit(11, 5), torch.where(torch.rand(11) < filled, 0.0, NEVER).double()
    bias[torch.randint(11, ())] = 0.0  # of an empty queue nothing but its smallness counts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("methods.action_parts.pixel_contrast.ENTRIES", 3)
        found = _QueueLogSumExp.apply(rows, entries, bias, torch.float64)
    expected = (rows @ entries.t() + bias).logsumexp(1)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(4, dtype=torch.float64)
    mine, theirs = (torch.autograd.grad((weights * value).sum(), rows)[0] for value in (found, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_no_anchor_at_all_gives_zero_and_zero_gradients():
    scene = Scene(4)
    none = Anchors(scene.anchors.student, scene.anchors.teacher, scene.labels, torch.zeros(8, dtype=torch.bool))
    draw = draw_positives(scene.queue.labels, scene.labels, CLASSES, 6)
    loss = supervised_contrast_loss(none, scene.queue, scene.targets, draw, 0.1, 0.2)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, scene.leaf)[0].eq(0).all()


def test_anchors_are_pixels_of_their_class():
    labels = torch.tensor([[[0, 0, 2], [2, 2, 0]]]).expand(2, -1, -1)
    draw = draw_anchors(labels, 3, 50)
    assert draw.labels.tolist() == [0] * 50 + [1] * 50 + [2] * 50
    assert draw.used.tolist() == (draw.labels != 1).tolist()
    assert labels.flatten()[draw.positions[draw.used]].equal(draw.labels[draw.used])
    assert set(draw.positions[:50].tolist()) == {0, 1, 5, 6, 7, 11}


def test_positives_are_entries_of_the_class():
    queue_labels = torch.tensor([1, -1, 0, 1, -1])
    draw = draw_positives(queue_labels, torch.tensor([0, 1, 2]), 3, 40)
    assert draw.entries.shape == (3, 40)
    assert set(draw.entries[0].tolist()) == {2}
    assert set(draw.entries[1].tolist()) == {0, 3}
    assert draw.present.tolist() == [True, True, False]
