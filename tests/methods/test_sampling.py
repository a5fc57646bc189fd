import torch

from methods.action_parts.arithmetic import draw_classes, draw_members


def test_members_are_uniform():
    torch.manual_seed(0)
    masks = torch.tensor([[0, 1, 1, 0, 1, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]]).bool()
    found = draw_members(masks, torch.tensor([0, 1, 3]).unsqueeze(1).expand(-1, 40_000))
    counts = torch.stack([row.bincount(minlength=6) for row in found]) / 40_000
    expected = torch.tensor([[0, 0.25, 0.25, 0, 0.25, 0.25], [1, 0, 0, 0, 0, 0], [0.5, 0, 0, 0, 0, 0.5]])
    torch.testing.assert_close(counts, expected, rtol=0, atol=0.01)  # 4 standard errors
    assert counts[expected == 0].eq(0).all()


def test_classes_have_their_probabilities():
    torch.manual_seed(0)
    probabilities = torch.tensor([[0.0, 0.1, 0.6, 0.3], [1.0, 0.0, 0.0, 0.0]])
    counts = torch.stack([row.bincount(minlength=4) for row in draw_classes(probabilities, 40_000)]) / 40_000
    torch.testing.assert_close(counts, probabilities, rtol=0, atol=0.01)
    assert counts[probabilities == 0].eq(0).all()
