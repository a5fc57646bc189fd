"""Watches the operations of a step on their way to the kernels, backward and optimiser included."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.api.method import Batch
from harness.check.places import Roots, calling_place
from harness.train.graph import tensors_of

READS = {"_local_scalar_dense", "item", "nonzero", "masked_select", "is_nonzero", "equal", "unique_dim", "_unique2"}
"""Operations whose result, or its shape, is a value that the host has to wait for."""

OPTIMISERS: Roots = (f"{Path(torch.optim.__file__).parent}/",)
"""Torch's; those such as Adam read a number of steps that they keep on the host."""


class Sighting(NamedTuple):
    """An operation, and the author's line that asked for it; empty where the engine did, as in a backward pass."""

    operation: str
    place: str


class ReadWatch(TorchDispatchMode):
    def __init__(self, roots: Roots = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[Sighting] = []
        self._roots = roots

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        name = func.overloadpacket.__name__
        counts = name == "repeat_interleave" and "output_size" not in (kwargs or {})
        if name in READS or counts or (name in {"index", "index_put_", "_index_put_impl_"} and _by_mask(args)):
            place = calling_place(self._roots)
            if place or not calling_place(OPTIMISERS):
                self.seen.append(Sighting(name, place))
        return func(*args, **(kwargs or {}))


def _by_mask(args: tuple[Any, ...]) -> bool:
    """Whether an index is a mask, whose true entries must be counted first."""
    return any(isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1])


class WriteWatch(TorchDispatchMode):
    """Collects operations that write into the tensors of a batch, views of them included."""

    def __init__(self, batch: Batch, roots: Roots) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[Sighting] = []
        self._roots = roots
        self._places = {tensor.untyped_storage().data_ptr() for tensor in tensors_of(batch)}

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        given = dict(zip((own.name for own in func._schema.arguments), args, strict=False)) | (kwargs or {})
        written = tree_leaves([given.get(own.name) for own in func._schema.arguments if _is_written(own)])
        if any(isinstance(value, Tensor) and value.untyped_storage().data_ptr() in self._places for value in written):
            self.seen.append(Sighting(func.overloadpacket.__name__, calling_place(self._roots)))
        return func(*args, **(kwargs or {}))


def _is_written(argument: torch.Argument) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


class WorkCounter(TorchDispatchMode):
    """Counts operations and the numbers that they make; on the meta device too, where nothing is computed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        self.numbers += sum(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        return result
