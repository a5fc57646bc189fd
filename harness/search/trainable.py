"""A run for Ray Tune: a trainable whose steps are the validations of a child process."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from ray import tune

from harness.api.strict import canonical_json
from harness.execution.outcome import Outcome
from harness.execution.process import Order, RestartingRun
from harness.execution.signal_forwarding import stop_on_this_host
from harness.records.lease import current_job
from harness.records.schema import Validation
from harness.train.stop import RETIRE, StopFlag

OUTCOME = "outcome"
"""Key of the last step's result. It holds the `Outcome` as JSON text, since Tune flattens mappings."""
STEP_SECONDS = 1.0
PATIENCE_SECONDS = 120.0


class RunTrainable(tune.Trainable):
    """Trains one run. Reports recorded validations first, and starts a process once Tune wants more.

    A step returns {"validation": its number, "dice": validation Dice} of the next validation. Without a new one it
    returns the last one again, after a second. The last step also returns the outcome and `done`. The run's own
    checkpoint is the only one.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """config: the fields of an `Order`."""
        self._order = Order(**config)
        self._folder = self._order.folder
        self._reported = 0
        self._retired = StopFlag()
        self._run: RestartingRun | None = None
        self._outcome: Outcome | None = Outcome(self._order.run, "ok") if self._folder.done else None

    def step(self) -> dict[str, Any]:
        """Report one validation, or wait for a second."""
        validations = self._folder.validations()
        if self._reported >= len(validations) and self._outcome is None:
            self._run = self._run or RestartingRun(self._order, self._retired)
            self._outcome = self._run.wait(STEP_SECONDS)
            validations = self._folder.validations()
        if self._reported < len(validations):
            self._reported += 1
        report = _report(validations[: self._reported])
        if self._outcome is None or self._reported < len(validations):
            return report
        return report | {"done": True, OUTCOME: canonical_json(asdict(self._outcome))}

    def cleanup(self) -> None:
        """End the run early, since Tune has ended the trial. The driver ends a run that has no process."""
        if self._run is None or self._outcome is not None:
            return
        self._retired.set("the search has seen enough")
        until = time.monotonic() + PATIENCE_SECONDS
        while self._run.wait(0) is None and time.monotonic() < until:
            stop_on_this_host([str(self._folder.path)], self._order.driver, current_job(), RETIRE)
            self._run.wait(STEP_SECONDS)

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Save nothing: the run keeps its own checkpoint."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Load nothing."""


def _report(validations: list[Validation]) -> dict[str, Any]:
    return {"validation": validations[-1].validation, "dice": validations[-1].mean_dice} if validations else {}
