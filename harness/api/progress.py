"""How far a run is, in the currency of its budget, and the schedules that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor


Scalar: TypeAlias = "float | Tensor"
"""A number on the host, or a 0-dimensional float32 tensor on the device where a whole step is captured."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Shares of the budget that are spent before a step starts, and the values of the method's schedules there.

    run, stage and step are plain numbers on the host. `Method.schedules` and `Method.on_progress` may use them in any
    way. `Method.training_loss` and `Method.after_step` read `progress["name"]` alone: a step that was captured once is
    replayed with new values, so nothing in it may depend on a number of the host.

    Attributes:
        run: Spent / budget of the whole run, in [0, 1].
        stage: Spent / budget of the current stage, in [0, 1]. Learning rate, ramps and temperatures use this one.
        step: Optimiser steps finished in the current stage. Only what counts steps by definition (EMA decay, running
            means, memory banks) may use it.
        schedules: What `Method.schedules` gave for this step, by name.
    """

    run: float
    stage: float
    step: int
    schedules: Mapping[str, Scalar] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Scalar:
        """The value of a schedule of the method. Raises `KeyError` for a name that the method does not give."""
        return self.schedules[name]

    def with_schedules(self, schedules: Mapping[str, Scalar]) -> Progress:
        """The same point with these schedules."""
        return replace(self, schedules=schedules)
