import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from harness.evaluation.predict import at_native, keep_largest, nearest_indices, predict_slices
from harness.records.schema import Engine

SIZE = 32


def predict_labels(network, images, native, **engine):
    (labels,) = predict_slices(network, [images], Engine(**engine))
    return at_native(labels, native).cpu().numpy()


def small_network():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.LeakyReLU(), nn.Dropout(0.5), nn.Conv2d(6, 4, 3, padding=1)
    )
    with torch.no_grad():
        for _ in range(5):
            network(torch.rand(8, 1, SIZE, SIZE))
    return network.double()


def images_of(depth, seed=1, size=(SIZE, SIZE)):
    return torch.rand(depth, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference(network, images, native_shape):
    network.eval()
    slices = []
    for image in images:
        with torch.no_grad():
            label = network(image[None]).argmax(dim=1)
        native = functional.interpolate(label[None].float(), size=native_shape[1:], mode="nearest-exact")
        slices.append(native[0, 0].numpy().astype(np.uint8))
    return np.stack(slices)


@settings(max_examples=15)
@given(depths=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_volumes_that_share_forward_passes_get_the_labels_of_each_alone(depths):
    network, volumes = small_network(), [images_of(depth, seed) for seed, depth in enumerate(depths)]
    together = predict_slices(network, volumes, Engine())
    for labels, images in zip(together, volumes, strict=True):
        np.testing.assert_array_equal(labels.numpy(), reference(network, images, (len(images), SIZE, SIZE)))


@given(source=st.integers(1, 300), target=st.integers(1, 600))
def test_nearest_indices_follow_torch_for_labels_and_images(source, target):
    labels = torch.randint(0, 255, (1, 1, 2, source), dtype=torch.uint8)
    indices = nearest_indices(source, target)
    for values in (labels, labels.float()):
        expected = functional.interpolate(values, size=(2, target), mode="nearest-exact")
        assert torch.equal(values[..., indices], expected)


def test_every_part_keeps_its_own_training_flag():
    network = small_network()
    network.train()
    network[1].eval()
    before = {name: module.training for name, module in network.named_modules()}
    assert set(before.values()) == {True, False}
    state = {name: value.clone() for name, value in network.state_dict().items()}
    expected = reference(small_network(), images_of(3), (3, 40, 41))
    np.testing.assert_array_equal(predict_labels(network, images_of(3), (3, 40, 41)), expected)
    assert {name: module.training for name, module in network.named_modules()} == before
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_each_class_keeps_its_own_largest_component():
    labels = np.array([[1, 1, 0, 2, 0], [0, 0, 0, 0, 0], [1, 0, 2, 2, 2]], np.uint8)
    assert keep_largest(labels).tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 2, 2, 2]]


def test_corners_connect_a_component():
    diagonal = np.zeros((4, 4, 4), np.uint8)
    diagonal[range(3), range(3), range(3)] = 1
    diagonal[0, 3, 2:] = 1
    kept = keep_largest(diagonal)
    assert kept.sum() == 3
    assert kept[2, 2, 2] == 1


def test_of_equal_components_the_first_stays():
    assert keep_largest(np.array([[0, 1, 1, 0, 1, 1, 0, 1]], np.uint8)).tolist() == [[0, 1, 1, 0, 0, 0, 0, 0]]
