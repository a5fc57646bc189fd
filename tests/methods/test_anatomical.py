import pytest
import torch
import torch.nn.functional as F

from methods.action_parts.arithmetic import class_masks, draw_members
from methods.action_parts.pixel_contrast import AnatomicalParams, anatomical_contrast, anatomical_loss, draw_anatomical
from tests.methods.references import DenseFeatures, anatomical

SETTINGS = AnatomicalParams(queries=5, keys=7, hard_below=0.9)


def varied(params, **values):
    return params.model_copy(update=values)


class Scene:
    """A table of 2 x 4 x 5 pixels, their labels, validity and the student's probabilities of four classes."""

    def __init__(self, classes, easy=None, seed=0):
        torch.manual_seed(seed)
        self.table = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
        self.labels = torch.tensor(classes)[torch.randint(len(classes), (2, 4, 5))]
        self.valid = torch.rand(2, 4, 5) < 0.8
        self.probabilities = torch.rand(2, 4, 4, 5, dtype=torch.float64)
        if easy is not None:
            self.probabilities[:, easy] = 1.0
        self.masks = class_masks(self.labels, 4) & self.valid.flatten()
        self.hard = self.masks & (self.probabilities.transpose(0, 1).flatten(1) < SETTINGS.hard_below)
        self.features = DenseFeatures(self.table)
        self.means = self.features.means(self.masks)

    def keep(self, label, count):
        """Leave only the first `count` hard pixels of a class."""
        self.masks[label] = self.hard[label] = self.hard[label] & (self.hard[label].cumsum(0) <= count)
        assert self.masks[label].sum() == count
        self.means = self.features.means(self.masks)

    def draw(self, settings=SETTINGS, temperature=0.5):
        return draw_anatomical(self.masks, self.hard, self.means, temperature, settings)

    def loss(self, draw, temperature):
        return anatomical_loss(self.table[draw.queries], self.table[draw.keys], self.means, draw, temperature)


@pytest.mark.parametrize("per_query", [False, True])
@pytest.mark.parametrize(
    ("classes", "easy"),
    [([0, 1, 2, 3], None), ([0, 2], None), ([0, 1, 3], 1), ([2], None), ([0, 3], None)],
    ids=["all", "absent", "no hard pixels", "single", "fewer pixels than queries"],
)
def test_loss_equals_the_loops(classes, easy, per_query):
    scene = Scene(classes, easy)
    if classes == [0, 3]:
        scene.keep(3, 2)
    settings = varied(SETTINGS, per_query=per_query)
    torch.manual_seed(1)
    draw = scene.draw(settings, 0.3)
    assert draw.keys.shape == ((4, 5, 7) if per_query else (4, 7))
    found = scene.loss(draw, 0.3)
    expected = anatomical(scene.table, scene.masks, scene.hard, draw.queries, draw.keys, 0.3)
    assert (expected.item() > 0) == (len(classes) > 1)
    assert found.item() == pytest.approx(expected.item(), rel=1e-10, abs=1e-15)
    if classes != [0, 3]:
        torch.manual_seed(1)
        of_batch = anatomical_contrast(scene.features, scene.probabilities, scene.labels, scene.valid, 0.3, settings)
        assert of_batch.total.item() == found.item()
    mine, theirs = (torch.autograd.grad(loss, scene.table)[0] for loss in (found, expected))
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-14)


def test_queries_are_hard_and_keys_are_valid_pixels_of_other_classes():
    scene = Scene([0, 1, 3], easy=3)
    draw = scene.draw(varied(SETTINGS, queries=200, keys=300))
    for k in (0, 1, 3):
        assert scene.masks[:, draw.keys[k]].any(0).all()
        assert not scene.masks[k, draw.keys[k]].any()
    for k in (0, 1):
        assert set(draw.queries[k].tolist()) == set(scene.hard[k].nonzero().flatten().tolist())
    assert draw.present.tolist() == [True, True, False, True]
    assert draw.hard.tolist() == [True, True, False, False]


def test_negative_classes_follow_the_relation_of_the_means():
    scene = Scene([0, 1, 3])
    draw = scene.draw(varied(SETTINGS, keys=40_000), temperature=0.4)
    shares = torch.stack([(class_masks(scene.labels, 4)[:, draw.keys[k]]).double().mean(1) for k in range(4)])
    for k, others in ((0, (1, 3)), (1, (0, 3)), (3, (0, 1))):
        weights = [F.cosine_similarity(scene.means[k], scene.means[v], dim=0).div(0.4).exp() for v in others]
        for v, weight in zip(others, weights, strict=True):
            assert shares[k, v].item() == pytest.approx((weight / sum(weights)).item(), abs=0.01)


def test_members_are_uniform():
    torch.manual_seed(0)
    masks = torch.tensor([[0, 1, 1, 0, 1, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]]).bool()
    found = draw_members(masks, torch.tensor([0, 1, 3]).unsqueeze(1).expand(-1, 40_000))
    counts = torch.stack([row.bincount(minlength=6) for row in found]) / 40_000
    expected = torch.tensor([[0, 0.25, 0.25, 0, 0.25, 0.25], [1, 0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0, 0.5]])
    torch.testing.assert_close(counts, expected, rtol=0, atol=0.01)  # 4 standard errors
    assert counts[expected == 0].eq(0).all()
