"""What a run may spend, in one of three currencies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.api.strict import Strict, is_none

Currency = Literal["device_seconds", "steps", "reference_steps"]


class StageSteps(Strict):
    """The optimiser steps of one stage of a method, and its share of the run."""

    name: str
    share: float = Field(gt=0, le=1)
    steps: int = Field(ge=1)


class Budget(Strict):
    """What a run may spend, over all its stages: exactly one of the three currencies.

    What `reference_steps` are in steps of a method, its plan knows from a calibration, and writes down as `stages`.
    """

    device_seconds: float | None = Field(None, gt=0, description="synchronised seconds inside training steps")
    steps: int | None = Field(None, gt=0, description="optimiser steps")
    reference_steps: int | None = Field(
        None, gt=0, exclude_if=is_none, description="compute of so many supervised steps"
    )
    stages: tuple[StageSteps, ...] | None = Field(
        None, min_length=1, exclude_if=is_none, description="steps by stage that the reference steps buy; of a run"
    )

    @model_validator(mode="after")
    def _one_currency(self) -> Budget:
        if sum(amount is not None for amount in (self.device_seconds, self.steps, self.reference_steps)) != 1:
            raise ValueError("give exactly one of device_seconds, steps and reference_steps")
        if self.stages is not None and self.reference_steps is None:
            raise ValueError("stages belong to reference_steps")
        return self

    @property
    def currency(self) -> Currency:
        if self.steps is not None:
            return "steps"
        return "device_seconds" if self.reference_steps is None else "reference_steps"

    @property
    def amount(self) -> float:
        return float(self.steps or self.reference_steps or self.device_seconds or 0.0)

    @property
    def counts_steps(self) -> bool:
        """Whether it ends after a number of steps that is known before."""
        return self.device_seconds is None

    @property
    def total_steps(self) -> int:
        """All steps of a run that counts steps. Raises `ValueError` where no calibration has resolved them."""
        if self.steps is not None:
            return self.steps
        if self.stages is None:
            raise ValueError(f"the steps of a budget of {self} are known once it is calibrated")
        return sum(stage.steps for stage in self.stages)

    def of(self, amount: float) -> Budget:
        """Another amount of the same currency."""
        return Budget.model_validate({self.currency: round(amount) if self.counts_steps else amount})

    def spent(self, steps: int, seconds: float) -> float:
        """What steps and seconds of one run come to, in this currency.

        Under reference steps: the shares of the stages that so many steps went through, the last one's beyond its end.
        """
        if self.stages is None:
            return float(steps) if self.steps is not None else seconds
        share, left = 0.0, steps
        for stage in self.stages:
            done = left if stage is self.stages[-1] else min(left, stage.steps)
            share += stage.share * (done / stage.steps)  # so that a whole stage is its share, to the bit
            left -= done
        return self.amount * share

    def __str__(self) -> str:
        return f"{self.amount:g} {self.currency.replace('_', ' ')}"
