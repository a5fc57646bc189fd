import torch

from harness.data.resize import resize_images, resize_labels


def test_nearest_images_and_labels_take_the_same_pixels():
    labels = torch.arange(61 * 53).reshape(1, 61, 53) % 251
    images = resize_images(labels[:, None].float(), (32, 48), "nearest")
    assert torch.equal(images[:, 0].to(torch.uint8), resize_labels(labels.to(torch.uint8), (32, 48)))


def test_by_hand():
    """3 pixels to 5: centres at 0.3, 0.9, 1.5, 2.1, 2.7. 4 to 2: means of pairs. 2 to 4: 0, 1/4, 3/4, 1 of the way."""
    assert resize_labels(torch.tensor([[[7, 8, 9]]]), (1, 5)).tolist() == [[[7, 7, 8, 9, 9]]]
    assert resize_images(torch.tensor([[[[0.0, 1.0, 2.0, 5.0]]]]), (1, 2), "area").tolist() == [[[[0.5, 3.5]]]]
    row = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    assert resize_images(row, (2, 4), "bilinear")[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
