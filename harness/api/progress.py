"""How far a unit is, in the currency of its budget."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Shares of the budget spent before a step starts; every schedule is a function of these.

    unit:  spent / budget of the whole unit, in [0, 1].
    stage: spent / budget of the current stage, in [0, 1]; learning rate, ramps and temperatures use this one.
    step:  optimiser steps finished in the current stage; only what counts steps by definition (EMA decay,
           running means, memory banks) may use it.
    """

    unit: float
    stage: float
    step: int
