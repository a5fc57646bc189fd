"""A graph without a GPU: what a step did is kept call by call, and calling it again does it again, Python left out."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.api.method import BatchPlan, Stage
from harness.train.checkpoint import TrainingState
from harness.train.graph import CapturedStep, Recorder


class Recording(TorchDispatchMode):
    """Keeps every call below autograd with its arguments and results, backward and optimiser included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[OpOverload, tuple[Any, ...], dict[str, Any], object]] = []

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Do all of it again, each result where it lay."""
        for func, args, kwargs, places in self.calls:
            for place, value in zip(tree_leaves(places), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():  # neither a view nor in place
                    place.copy_(value)


def record_calls(state: TrainingState) -> Recorder:
    """Record as a CUDA graph does, which computes nothing meanwhile: afterwards the state is what it was."""

    def record(function: Callable[[], None]) -> Callable[[], None]:
        kept = [*state.method.state_dict(keep_vars=True).values(), *tree_leaves(state.optimiser.state)]
        tensors = [value for value in kept if isinstance(value, Tensor)]
        before = [tensor.detach().clone() for tensor in tensors]
        generator = torch.get_rng_state()
        recording = Recording()
        with recording:
            function()
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        torch.set_rng_state(generator)
        return recording.replay

    return record


class RecordedStep(CapturedStep):
    """A captured step on any device."""

    def __init__(self, state: TrainingState, stage: Stage, plan: BatchPlan) -> None:
        super().__init__(state, stage, plan, record_calls(state))
