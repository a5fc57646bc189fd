"""What a suite gives each of its runs: one budget, or a ladder of them."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, model_validator

from harness.api.strict import Strict, is_none
from harness.records.budget import Budget, Currency


class SuiteBudget(Strict):
    """Exactly one of three currencies, or a ladder: several budgets of reference steps, each with a table of its own.

    Schedules follow progress, so the runs of a short rung are no beginnings of those of a longer one.
    """

    device_seconds: float | None = Field(None, gt=0, description="synchronised seconds inside training steps")
    steps: int | None = Field(None, gt=0, description="optimiser steps")
    reference_steps: int | None = Field(
        None, gt=0, exclude_if=is_none, description="compute of so many supervised steps"
    )
    ladder: tuple[int, ...] | None = Field(
        None, exclude_if=is_none, description="several budgets of reference steps, ascending"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> SuiteBudget:
        amounts = {name: value for name, value in self if value is not None}
        if self.ladder is not None and len(amounts) > 1:
            others = " and ".join(name for name in amounts if name != "ladder")
            raise ValueError(f"a ladder is in reference steps and says all there is; leave out {others}")
        if len(amounts) != 1:
            raise ValueError("give exactly one of device_seconds, steps, reference_steps and ladder")
        ladder = self.ladder
        if ladder is not None and (len(ladder) < 2 or ladder[0] < 1 or any(a >= b for a, b in pairwise(ladder))):
            raise ValueError(f"a ladder has at least two rungs, each longer than the one before, not {[*ladder]}")
        return self

    @property
    def currency(self) -> Currency:
        return self.at(None if self.ladder is None else self.ladder[0]).currency

    @property
    def rungs(self) -> tuple[int | None, ...]:
        """Those of the ladder, the shortest first; None alone without one."""
        return (None,) if self.ladder is None else self.ladder

    def at(self, rung: int | None) -> Budget:
        """What each run may spend. rung: one of `rungs`."""
        if rung is not None:
            return Budget(reference_steps=rung)
        return Budget.model_validate({name: value for name, value in self if value is not None})

    def __str__(self) -> str:
        if self.ladder is None:
            return str(self.at(None))
        return f"{', '.join(map(str, self.ladder))} reference steps"
