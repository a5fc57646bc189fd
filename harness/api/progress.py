"""How far a run is, in the currency of its budget, and schedules of it, which stretch to any budget."""

from __future__ import annotations

import math
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
        """Copy this point with other schedules.

        Args:
            schedules: What `Method.schedules` gives for the step, by name.

        Returns:
            The same shares and step with these schedules.
        """
        return replace(self, schedules=schedules)


def ramp_up(progress: float, end: float = 1.0) -> float:
    """Gaussian ramp exp(-5 (1 - min(p, end) / end)^2) of Laine and Aila, ICLR 2017.

    Args:
        progress: Share of the stage or of the run, in [0, 1].
        end: Progress from which the ramp is 1, in (0, 1].

    Returns:
        A weight from e^-5 at progress 0 to 1.

    Raises:
        ValueError: `end` lies outside (0, 1].
    """
    if not 0.0 < end <= 1.0:
        raise ValueError(f"a ramp ends within (0, 1] of the stage, not at {end}")
    return math.exp(-5.0 * (1.0 - min(progress, end) / end) ** 2)


def staircase(progress: float, stairs: int | None) -> float:
    """Progress rounded down to one of several equal stairs, as releases write floor(t / 150) of iteration t.

    With 30,000 iterations, floor(t / 150) / 200 is staircase(t / 30000, 200).

    Args:
        progress: Share of the stage or of the run, in [0, 1].
        stairs: Their number. None leaves the progress smooth.

    Returns:
        Progress at the stair's start, in [0, 1].
    """
    if stairs is None:
        return progress
    return math.floor(progress * stairs + 1e-9) / stairs  # a quotient such as 0.29 * 100 falls just below its stair


def poly(progress: float, power: float) -> float:
    """Polynomial decay (1 - p)^power, the field's schedule of the learning rate.

    Args:
        progress: Share of the stage, in [0, 1].
        power: The exponent; 0.9 in most papers.

    Returns:
        A factor from 1 at progress 0 to 0 at progress 1.
    """
    return math.pow(max(0.0, 1.0 - progress), power)
