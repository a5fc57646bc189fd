import pytest
import torch
import torch.nn.functional as F

from methods.shared.class_memory import ClassMemory, class_rows

WIDTH, CLASSES = 6, 4


def memory(size=5, *, keep_highest=False):
    torch.manual_seed(0)
    made = ClassMemory(CLASSES, size, WIDTH, keep_highest=keep_highest).double()
    with torch.no_grad():
        for selectors in (made.row_selectors, made.entry_selectors):
            selectors.scale.uniform_(0.5, 1.5)
            selectors.shift.normal_()
    return made


def rows_of(labels, seed=1):
    """Features, and the members of each class; a label below 0 is no class's."""
    generator = torch.Generator().manual_seed(seed)
    given = torch.tensor(labels)
    members = class_rows(given, given >= 0, CLASSES).double()
    return torch.randn(len(labels), WIDTH, generator=generator, dtype=torch.float64), members


def select(selectors, c, rows):
    hidden = F.linear(rows, selectors.weight[c], selectors.bias[c])
    hidden = F.batch_norm(hidden, None, None, selectors.scale[c], selectors.shift[c], training=True)
    return (F.leaky_relu(hidden, 0.2) @ selectors.last_weight[c] + selectors.last_bias[c]).sigmoid()


def derived_loss(made, rows, labels):
    total = torch.zeros((), dtype=torch.float64)
    for c in range(CLASSES):
        own, entries = rows[[label == c for label in labels]], F.normalize(made.entries[c][made.filled[c]], dim=1)
        if len(own) < 2 or len(entries) < 2:
            continue
        a, b = select(made.row_selectors, c, own.detach()), select(made.entry_selectors, c, entries)
        distances = 1 - F.normalize(own, dim=1) @ entries.t()
        total = total + (distances * (a / a.mean()).unsqueeze(1) * (b / b.mean())).mean()
    return total / CLASSES


LABELS = [0, 1, 1, 2, 2, 2, 1, 0, 2, 3, 1, 2, -1, 2, 2]


def test_loss_and_all_gradients_are_those_of_the_pairs():
    made = memory()
    made.update(*rows_of([1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, -1], seed=2))
    assert made.filled.sum(dim=1).tolist() == [0, 3, 5, 1]
    rows, members = rows_of(LABELS)
    rows.requires_grad_()
    wanted = [rows, *made.row_selectors.parameters(), *made.entry_selectors.parameters()]
    loss, expected = made.loss(rows, members), derived_loss(made, rows, LABELS)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-10)
    got = torch.autograd.grad(loss, wanted)
    plain = torch.autograd.grad(expected, wanted)
    for own, other in zip(got, plain, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("keep_highest", [False, True])
def test_entries_are_the_best_ranked_rows_of_the_class(keep_highest):
    made = memory(size=3, keep_highest=keep_highest)
    rows, members = rows_of([2] * 9 + [1, 1, -1])
    made.update(rows, members)
    ranked = rows[:9][select(made.row_selectors, 2, rows[:9]).argsort(descending=keep_highest)[:3]]
    assert torch.equal(made.entries[2], ranked)
    assert made.filled.tolist() == [[False] * 3, [True, True, False], [True] * 3, [False] * 3]
    assert {tuple(each) for each in made.entries[1, :2].tolist()} == {tuple(each) for each in rows[9:11].tolist()}
