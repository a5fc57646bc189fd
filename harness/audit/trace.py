"""A unit's history in a few figures: how many steps it holds, and whether its rate followed the schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.api.schedules import poly
from harness.api.settings import OptimiserSettings
from harness.records.run_folder import UnitFolder

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["stage", "progress_unit", "progress_stage", "learning_rate", "step_seconds"]


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


def read_trace(folder: UnitFolder) -> Trace | None:
    """The trace of a unit's history, None where there is none yet or it is of another form."""
    history = folder.history()
    if history.empty or any(name not in history.columns for name in COLUMNS):
        return None
    replayable = bool(history[["progress_unit", "progress_stage"]].notna().all(axis=None))
    seconds = float(history["step_seconds"].sum())
    return Trace(len(history), seconds, replayable, rate_error(history, folder.unit.engine.optimiser))


def rate_error(history: pd.DataFrame, settings: OptimiserSettings) -> float:
    """See `Trace.rate_error`; history: the columns `COLUMNS`, one row a step."""
    return max(_stage_error(stage, settings) for _, stage in history.groupby("stage", sort=False))


def _stage_error(stage: pd.DataFrame, settings: OptimiserSettings) -> float:
    power = settings.poly_power if settings.schedule == "poly" else 0.0
    factors = [poly(progress, power) for progress in stage["progress_stage"]]
    rates = stage["learning_rate"].tolist()
    first = rates[0] / factors[0] if factors[0] else rates[0]
    return max((abs(rate - first * factor) / first for rate, factor in zip(rates, factors, strict=True)), default=0.0)
