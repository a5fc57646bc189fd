import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.api.layers import Doubling, Dropout, concatenate

SEED = 7


def random_bits(count):
    """The next 16-bit values of torch's default generator, smallest signed value 0, lowest bits of each 64 first."""
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).tolist()
    return [((word >> shift) + 2**15) % 2**16 for word in words for shift in (0, 16, 32, 48)][:count]


@given(p=st.floats(0.001, 0.999), count=st.integers(1, 70))
def test_a_value_is_dropped_if_its_random_bits_lie_below_p(p, count):
    torch.manual_seed(SEED)
    dropped = [bits < round(p * 2**16) for bits in random_bits(count)]
    torch.manual_seed(SEED)

    result = Dropout(p)(torch.ones(1, count))

    scale = torch.tensor(1.0 / (1.0 - p))
    assert result[0].tolist() == [0.0 if out else scale.item() for out in dropped]
    assert Dropout(p).eval()(result) is result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_what_was_dropped_is_the_mask(dtype):
    image = torch.ones(8, 16, 8, 8, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    result = Dropout(0.3)(image)
    assert torch.equal(torch.autograd.grad(result.sum(), image)[0], result)
    assert result.unique().tolist() == [0.0, torch.tensor(1 / 0.7, dtype=dtype).item()]


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
