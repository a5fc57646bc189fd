"""Decides whether another step may start, and how far a run is."""

import copy
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from harness.api.progress import Progress
from harness.records.budget import Budget

RESERVE_STEPS = 20
"""The reserve is time kept free before a step: the longest of the stage's last so many steps."""
UNRESERVED_STEPS = 3
"""A stage's first steps run without a reserve: nothing is known of their cost yet."""
SAVED = ("stage", "seconds", "steps", "stage_seconds", "stage_steps", "longest_step_seconds", "stage_start", "recent")
"""Fields of a meter that change, plain values."""


class Meter:
    """Spends one budget over the stages of one run.

    Stage k ends where the sum of the first k shares ends, so what one stage overspends (at most one step) or leaves
    is the next one's. With `device_seconds` a step starts only if the reserve still fits: the run never
    overshoots by more than one step (on CUDA: the steps between two synchronisations). With `reference_steps` each
    stage takes the steps that the run's budget names, and its share of the run's progress.
    """

    def __init__(self, budget: Budget, shares: Sequence[float]) -> None:
        if not shares or min(shares) <= 0 or abs(sum(shares) - 1.0) > 1e-9:
            raise ValueError(f"stage shares must be positive and add up to 1, not {list(shares)}")
        self.budget = budget
        self._shares = tuple(shares)
        self._ends = _ends(budget, shares)
        self.stage = 0
        self.seconds = 0.0
        self.steps = 0
        self.stage_seconds = [0.0] * len(shares)
        self.stage_steps = [0] * len(shares)
        self.longest_step_seconds = 0.0
        self.stage_start = 0.0
        self.recent: list[float] = []

    def may_step(self, pending: int = 0) -> bool:
        """Whether another step may start; `pending` steps are issued and not charged yet."""
        end = self._ends[self.stage]
        if self.budget.counts_steps:
            return self.steps < end
        if self.stage_steps[self.stage] < UNRESERVED_STEPS or not self.recent:
            return self.seconds + pending * max(self.recent, default=0.0) < end
        return self.fits(end, pending)

    def fits(self, allowance: float, pending: int = 0) -> bool:
        """Whether another step fits into an allowance below the budget, in its currency, with the same reserve."""
        if self.budget.counts_steps:
            return self.budget.spent(self.steps, 0.0) < allowance
        return self.seconds + (pending + 1) * max(self.recent, default=0.0) <= allowance

    @property
    def has_steps_left(self) -> bool:
        """Whether this stage or a later one may still take a step; nothing may be pending."""
        return self.may_step() or self.stage + 1 < len(self._ends)

    def progress(self, pending: int = 0) -> Progress:
        """Shares of the budget that are spent now; pending steps count at the mean of the recent ones."""
        spent = self._spent(pending)
        length = self._ends[self.stage] - self.stage_start
        within = (spent - self.stage_start) / length if length > 0 else 1.0
        return Progress(_clip(self._run_progress(spent, _clip(within))), _clip(within), self.stage_steps[self.stage])

    def count_step(self) -> None:
        self.steps += 1
        self.stage_steps[self.stage] += 1

    def charge(self, seconds: float) -> None:
        self.seconds += seconds
        self.stage_seconds[self.stage] += seconds
        self.longest_step_seconds = max(self.longest_step_seconds, seconds)
        self.recent = [*self.recent, seconds][-RESERVE_STEPS:]

    def charge_start(self, seconds: float) -> None:
        """What a stage did before its first step (handing over, prototypes); no step's cost, so never a reserve."""
        self.seconds += seconds
        self.stage_seconds[self.stage] += seconds

    def next_stage(self) -> bool:
        """Go to the next stage; False after the last one. Nothing may be pending."""
        if self.stage + 1 == len(self._ends):
            return False
        self.stage += 1
        self.stage_start = self._spent(0)
        self.recent.clear()
        return True

    def _run_progress(self, spent: float, within: float) -> float:
        """Under reference steps a stage's progress counts by its share: the cost of its steps must not enter."""
        if self.budget.reference_steps is None:
            return spent / self.budget.amount
        return sum(self._shares[: self.stage]) + self._shares[self.stage] * within

    def _spent(self, pending: int) -> float:
        if self.budget.counts_steps:
            return float(self.steps)
        mean = sum(self.recent) / len(self.recent) if self.recent else 0.0
        return self.seconds + pending * mean

    def state_dict(self) -> dict[str, Any]:
        return {name: copy.copy(getattr(self, name)) for name in SAVED}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in SAVED:
            setattr(self, name, copy.copy(state[name]))


class ReplayMeter(Meter):
    """Feeds recorded progress instead of a clock, so that a `device_seconds` run can be trained again bitwise.

    series: per step, in order: (stage index, run progress, stage progress).
    """

    def __init__(self, budget: Budget, shares: Sequence[float], series: Sequence[tuple[int, float, float]]) -> None:
        super().__init__(budget, shares)
        self._series = series

    def may_step(self, pending: int = 0) -> bool:
        """Whether the recorded run took another step in this stage."""
        return self.steps < len(self._series) and self._series[self.steps][0] == self.stage

    def progress(self, pending: int = 0) -> Progress:
        """What the recorded run saw before this step."""
        if self.steps >= len(self._series):
            return Progress(1.0, 1.0, self.stage_steps[self.stage])
        _, run, stage = self._series[self.steps]
        return Progress(run, stage, self.stage_steps[self.stage])


def _ends(budget: Budget, shares: Sequence[float]) -> list[float]:
    """Where each stage ends: in steps, or in device-seconds."""
    if budget.reference_steps is not None:
        steps = [stage.steps for stage in budget.stages or ()]
        if [stage.share for stage in budget.stages or ()] != list(shares):
            raise ValueError(f"the budget's stages {budget.stages} are not those of the method, with shares {shares}")
        return [float(end) for end in accumulate(steps)]
    ends = [budget.amount * sum(shares[: k + 1]) for k in range(len(shares))]
    ends[-1] = budget.amount
    return [float(round(end)) for end in ends] if budget.steps is not None else ends


def _clip(share: float) -> float:
    return min(max(share, 0.0), 1.0)
