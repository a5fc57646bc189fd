"""Two devices that draw the same numbers and drop nothing, so that a step's losses can be compared."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


class SameDraws(TorchDispatchMode):
    """Whatever draws from torch's default generator draws on the CPU, and the numbers go to the device."""

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        given = (args, kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*given[0], **given[1])
        devices = [leaf.device if isinstance(leaf, Tensor) else leaf for leaf in tree_leaves(given)]
        device = next((leaf for leaf in devices if isinstance(leaf, torch.device)), torch.device("cpu"))
        own_args, own_kwargs = tree_map(_on_cpu, given)
        drawn = func(*own_args, **own_kwargs)
        if func._schema.is_mutable:
            return args[0].copy_(drawn)
        return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, drawn)


def _on_cpu(leaf: object) -> object:
    if isinstance(leaf, Tensor):
        return leaf.cpu()
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def without_dropout(method: nn.Module) -> None:
    """Put an identity in the place of each dropout layer, whose masks differ between devices."""
    for module in list(method.modules()):
        for name, child in module.named_children():
            if "Dropout" in type(child).__name__:
                setattr(module, name, nn.Identity())
