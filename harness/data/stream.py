"""An order in which training images come: at random, without replacement, pass after pass."""

from typing import Any

import torch
from torch import Tensor

from harness.api.errors import UsageError


class Stream:
    """Indices in random order without replacement, pass after pass; a batch may span two passes."""

    def __init__(self, name: str, indices: Tensor, generator: torch.Generator) -> None:
        self._name = name
        self._indices = indices
        self._generator = generator
        self._order = indices[:0]
        self._used = 0

    def next(self, count: int) -> Tensor:
        """[count] indices on the device; no host copy. Raises `UsageError` where there is nothing to draw from."""
        if count and not len(self._indices):
            raise UsageError(f"a batch asks for {count} {self._name} images, but no training patient is {self._name}")
        while len(self._order) - self._used < count:
            shuffle = torch.randperm(len(self._indices), generator=self._generator, device=self._indices.device)
            self._order = torch.cat([self._order[self._used :], self._indices[shuffle]])
            self._used = 0
        taken = self._order[self._used : self._used + count]
        self._used += count
        return taken

    def state_dict(self) -> dict[str, Any]:
        """What is left of the current pass."""
        return {"order": self._order[self._used :].clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._order = state["order"].to(self._indices.device)
        self._used = 0
