import pytest
import torch

from methods.action_parts.representation import RepresentationHead, SampledFeatures
from tests.methods.references import DenseFeatures, dense_features

WIDTHS = (5, 4, 3, 2, 1)


def pyramid(size, widths=WIDTHS):
    """Two images' decoder maps, coarse to fine, each level half as fine as the next."""
    maps = []
    for level, width in enumerate(widths):
        scale = 2 ** (len(widths) - 1 - level)
        maps.append(torch.randn(2, width, *(n // scale for n in size), dtype=torch.float64, requires_grad=True))
    return maps


def head_for(widths, dimension):
    return RepresentationHead(sum(widths), dimension, hidden=7, features=6).double()


def compare(maps, head, positions, tolerance):
    leaves = [*maps, *head.parameters()]
    expected = dense_features(head, maps)[positions]
    weights = torch.randn_like(expected)
    wanted = torch.autograd.grad((weights * expected).sum(), leaves)
    got = SampledFeatures(head, maps).at(positions)
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(torch.autograd.grad((weights * got).sum(), leaves), wanted, strict=True):
        largest = max(theirs.abs().max().item(), 1.0)  # single precision loses digits of the largest term of a sum
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("size", [(32, 48), (96, 32)])
def test_head_at_every_pixel_equals_the_dense_head(size):
    torch.manual_seed(0)
    everywhere = torch.arange(2 * size[0] * size[1])  # every border and corner, every phase of every map
    compare(pyramid(size), head_for(WIDTHS, 2), everywhere, 1e-10)


@pytest.mark.parametrize("count", [1, 11, 47, 5000])
def test_projecting_cells_or_patches_is_the_same(count):
    torch.manual_seed(7)
    positions = torch.randint(2 * 32 * 48, (count,))  # the maps have 12, 48, 192, 768, 3072 cells
    compare(pyramid((32, 48)), head_for(WIDTHS, 2), positions, 1e-10)


def test_head_in_three_dimensions_equals_convolutions():
    torch.manual_seed(2)
    widths = (4, 3, 2)
    compare(pyramid((8, 4, 12), widths), head_for(widths, 3), torch.arange(2 * 8 * 4 * 12), 1e-10)


@pytest.mark.parametrize(("size", "widths"), [((32, 48), WIDTHS), ((4, 8, 8), (3, 2))])
def test_means_equal_the_mean_of_dense_features(size, widths):
    torch.manual_seed(3)
    maps, head = pyramid(size, widths), head_for(widths, len(size))
    pixels = 2 * torch.Size(size).numel()
    masks = torch.rand(4, pixels) < torch.tensor([[0.5], [0.01], [0.0], [1.0]])
    masks[1, 0] = True  # a corner
    found = SampledFeatures(head, maps).means(masks)
    expected = DenseFeatures(dense_features(head, maps)).means(masks)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert found[2].eq(0).all()


def test_targets_in_chunks_or_by_table_equal_those_with_gradient(monkeypatch):
    monkeypatch.setattr("methods.action_parts.representation.CHUNK", 7)
    torch.manual_seed(4)
    features = SampledFeatures(head_for(WIDTHS, 2), pyramid((16, 16)))
    for shape in [(3, 5), (4, 10, 20)]:  # fewer and more draws than the 512 pixels
        positions = torch.randint(512, shape)
        with torch.no_grad():
            found = features.at(positions)
        assert found.shape == (*shape, 6)
        torch.testing.assert_close(found, features.at(positions).detach(), rtol=1e-12, atol=1e-12)
