import pytest
import torch

from harness.api.layers import Doubling, Dropout, concatenate

SEED = 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_what_was_dropped_is_the_mask(dtype):
    image = torch.ones(8, 16, 8, 8, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    torch.manual_seed(SEED)
    result = Dropout(0.3)(image)
    assert torch.equal(torch.autograd.grad(result.sum(), image)[0], result)
    assert result.unique().tolist() == [0.0, torch.tensor(1 / 0.7, dtype=dtype).item()]
    assert (result == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_a_concatenation_has_the_gradients_of_torchs_own_without_gaps():
    first, second = (
        torch.rand(2, channels, 4, 4).to(memory_format=torch.channels_last).requires_grad_() for channels in (3, 5)
    )
    weights = torch.rand(2, 8, 4, 4).to(memory_format=torch.channels_last)
    result = concatenate(first, second)

    gradients = torch.autograd.grad((result * weights).sum(), (first, second))

    assert torch.equal(result, torch.cat((first, second), dim=1))
    assert torch.equal(torch.cat(gradients, dim=1), weights)
    assert all(gradient.is_contiguous(memory_format=torch.channels_last) for gradient in gradients)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_doubling_is_torchs_transposed_convolution_with_its_gradients(precision):
    torch.manual_seed(SEED)
    plain = torch.nn.ConvTranspose2d(6, 4, kernel_size=2, stride=2)
    ours = Doubling(6, 4)
    ours.load_state_dict(plain.state_dict())
    image = torch.rand(2, 6, 8, 8, requires_grad=True)
    weights = torch.rand(2, 4, 16, 16)

    results, gradients = [], []
    for layer in (plain, ours):
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            results.append(layer(image))
        gradients.append(torch.autograd.grad((results[-1] * weights).sum(), (image, *layer.parameters())))

    assert torch.equal(*results)
    tolerance = 1e-5 if precision == torch.float32 else 1e-2
    for theirs, own in zip(*gradients, strict=True):
        assert own.dtype == torch.float32
        assert torch.allclose(own, theirs, rtol=tolerance)
