"""Memory banks: the newest rows that were put in, the oldest overwritten. Their state is in buffers on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bank(nn.Module):
    """The last `size` entries of a given shape, in a ring.

    entries:  [size, *shape]; unfilled ones are 0 and `filled` is False.
    enqueued: rows ever put in, int64 scalar; the next row goes to slot enqueued mod size.

    Updates replace the buffers: a loss that was computed from the old entries can still be differentiated.
    """

    entries: Tensor
    enqueued: Tensor

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__()
        self.register_buffer("entries", torch.zeros(size, *shape))
        self.register_buffer("enqueued", torch.zeros((), dtype=torch.long))

    @property
    def filled(self) -> Tensor:
        """[size] bool."""
        return self._slots() < self.enqueued

    @torch.no_grad()
    def enqueue(self, rows: Tensor) -> None:
        """Put rows [R, *shape] in, in their order; of more than `size` the last ones stay."""
        self._write(rows, *self._landing(len(rows)))

    def _slots(self) -> Tensor:
        return torch.arange(len(self.entries), device=self.entries.device)

    def _landing(self, count: Tensor | int) -> tuple[Tensor, Tensor]:
        """For each slot the number of the newest of `count` rows that lands on it, and whether there is one."""
        size = len(self.entries)
        first = (self._slots() - self.enqueued) % size
        last = first + (count - 1 - first).div(size, rounding_mode="floor") * size
        self.enqueued = self.enqueued + count
        return last.clamp(min=0), first < count

    def _write(self, rows: Tensor, source: Tensor, replaced: Tensor) -> None:
        shape = (-1, *(1,) * (self.entries.ndim - 1))
        self.entries = torch.where(replaced.view(shape), rows[source].to(self.entries.dtype), self.entries)


class LabelledBank(Bank):
    """A bank whose rows carry a class; labels [size] int64, -1 where unfilled."""

    labels: Tensor

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__(size, *shape)
        self.register_buffer("labels", torch.full((size,), -1))

    @torch.no_grad()
    def enqueue_labelled(self, rows: Tensor, labels: Tensor) -> None:
        """Put in rows [R, *shape] whose label [R] is a class, in their order; rows labelled -1 are passed over."""
        counted = (labels >= 0).cumsum(0)
        number, replaced = self._landing(counted[-1])
        source = torch.searchsorted(counted, number + 1).clamp(max=len(rows) - 1)  # the number-th row that counts
        self._write(rows, source, replaced)
        self.labels = torch.where(replaced, labels[source], self.labels)
