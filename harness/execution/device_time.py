"""How long a device is expected to compute under a budget of reference steps, by its calibration alone."""

import logging
import math
from collections.abc import Container
from dataclasses import dataclass

from harness.api.errors import UsageError
from harness.records.calibration import CalibrationHeader
from harness.records.reader import SuiteRecords
from harness.records.status import run_statuses
from harness.records.suite_folder import SuiteFolder
from harness.suite.plan import Plan

log = logging.getLogger(__name__)

MOST_HOURS = 48.0
"""What starts without being asked for twice."""


@dataclass(frozen=True)
class DeviceTime:
    """What unfinished runs are expected to take inside training steps.

    steps: reference steps that are left. header: of the calibration, which says how long one takes.
    """

    steps: float
    header: CalibrationHeader

    @property
    def hours(self) -> float:
        """Of the device that was calibrated."""
        return self.steps * self.header.reference_seconds / 3600.0

    def __str__(self) -> str:
        return (
            f"{self.hours:.2f} device-hours: {self.steps:.0f} supervised steps of {self.header.reference_seconds:.3g} s"
            f" on {self.header.fingerprint.device_model} (calibration {self.header.hash[:10]})"
        )


def device_time(plan: Plan, store: SuiteFolder, retried: Container[str] = ()) -> DeviceTime | None:
    """What is left of a plan's runs; those that a search has yet to name count in full.

    retried: failed runs that go on. None under other budgets, and before there is a calibration.
    """
    if plan.calibration is None:
        return None
    records, runs = SuiteRecords(store), {run.id: run for run in plan.runs}
    statuses = run_statuses(records, list(runs), records.ended_of(runs))
    left = [
        runs[run].budget.amount * (1.0 - status.share)
        for run, status in statuses.items()
        if status.state not in ("done", "failed") or run in retried
    ]
    unnamed = [training.budget.amount for training in plan.trainings() if training.run is None]
    return DeviceTime(math.fsum([*left, *unnamed]), plan.calibration.header)


def announce(plan: Plan, store: SuiteFolder, yes: bool, retried: Container[str] = ()) -> None:
    """Log how long the runs are expected to take. Raises `UsageError` for days that nobody has agreed to."""
    time = device_time(plan, store, retried)
    if time is not None and time.steps > 0:
        log.info("expected: %s", time)
        confirm(time, yes)


def confirm(time: DeviceTime, yes: bool) -> None:
    """Raise `UsageError` for more than two days that nobody has agreed to. yes: somebody has."""
    if time.hours > MOST_HOURS and not yes:
        raise UsageError(
            f"expected: {time}; that is more than {MOST_HOURS:.0f}. `--yes` (yes=True from Python) starts it; a "
            "smaller budget or fewer seeds make it shorter"
        )
