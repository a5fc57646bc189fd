"""A run's history in a few figures: how many steps it holds, and whether its rate followed the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api.params import OptimiserSettings
from harness.api.progress import poly
from harness.records.reader import RunRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trace:
    """Of the steps on record.

    seconds:    charged for all steps, without what stages did before their first one.
    replayable: each step has the progress that its schedules saw.
    rate_error: largest relative difference of a step's learning rate from its stage's first rate times the engine's
                schedule of stage progress; 0 where the rate is a function of progress alone.
    """

    steps: int
    seconds: float
    replayable: bool
    rate_error: float


def read_trace(record: RunRecord) -> Trace | None:
    """Read a run's history, keep these figures of it; None where there is no history."""
    history = record.folder.history()
    if history.empty:
        return None
    replayable = bool(history[["progress_run", "progress_stage"]].notna().all(axis=None))
    seconds = float(history["step_seconds"].sum())
    return Trace(len(history), seconds, replayable, rate_error(history, record.run.engine.optimiser))


def rate_error(history: pd.DataFrame, settings: OptimiserSettings) -> float:
    """See `Trace.rate_error`. history: columns stage, progress_stage and learning_rate, one row a step."""
    return max(_stage_error(stage, settings) for _, stage in history.groupby("stage", sort=False))


def _stage_error(stage: pd.DataFrame, settings: OptimiserSettings) -> float:
    power = settings.poly_power if settings.schedule == "poly" else 0.0
    factors = [poly(progress, power) for progress in stage["progress_stage"]]
    rates = stage["learning_rate"].tolist()
    first = rates[0] / factors[0] if factors[0] else rates[0]
    return max((abs(rate - first * factor) / first for rate, factor in zip(rates, factors, strict=True)), default=0.0)
