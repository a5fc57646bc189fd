from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Work(NamedTuple):
    """Of one step as the host takes it, nothing fused.

    flops: of convolutions and matrix products, forward and backward, a multiply-add counted as two.
    bytes: of the tensors that operations read and write, each argument once.
    calls: operations that compute something, about the number of kernels.
    """

    flops: int
    bytes: int
    calls: int


class CountedBytes(TorchDispatchMode):
    """Sums arguments and results of every operation below autograd; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        places = {tensor.untyped_storage().data_ptr() for tensor in read}
        is_view = all(tensor.untyped_storage().data_ptr() in places for tensor in written)
        makes_memory = not read  # an empty tensor is written by whoever fills it
        if written and not makes_memory and (func._schema.is_mutable or not is_view):
            self.bytes += sum(size(tensor) for tensor in (*read, *written))
            self.calls += 1
        return result


def size(tensor: Tensor) -> int:
    """Bytes of memory that a tensor covers; an expanded one covers less than its shape says."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def count(step: Callable[[], object]) -> Work:
    with FlopCounterMode(display=False) as flops:
        step()
    with CountedBytes() as moved:
        step()
    return Work(flops.get_total_flops(), moved.bytes, moved.calls)


def matrix_product(side: int, dtype: torch.dtype, device: torch.device) -> tuple[Callable[[], object], int]:
    first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return (lambda: first @ second), 2 * side**3


def large_copy(byte_count: int, device: torch.device) -> tuple[Callable[[], object], int]:
    source = torch.randn(byte_count // 4, device=device)
    target = torch.empty_like(source)
    return (lambda: target.copy_(source)), 2 * source.numel() * 4
