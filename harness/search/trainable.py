"""A unit as Ray Tune sees it: a trainable whose steps are the validation looks of a process of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune

from harness.api.strict import canonical_json
from harness.execution.outcome import Outcome
from harness.execution.process import Order, UnitProcess, unwritable
from harness.records.run_folder import UnitFolder
from harness.records.schema import Look
from harness.train.stop import RETIRE

OUTCOME = "outcome"
"""Key of a last step's result: the `Outcome` as JSON text, since Tune takes mappings apart."""
STEP_SECONDS = 1.0
KILLED_TRIES = 2
"""A unit that was killed is started once more, from its checkpoint."""
PATIENCE_SECONDS = 120.0


class UnitTrainable(tune.Trainable):
    """Runs one unit; looks that are on record are told again first, and its process starts when more are wanted.

    A step gives {"look": its number, "dice": validation Dice} of the next look that is known, the last one again after
    a second without news, and at the end the outcome and done. The unit's own checkpoint is the only one.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """config: {"order": the fields of an `Order`}."""
        self._order = Order(**config["order"])
        self._folder = UnitFolder(Path(self._order.runs) / config["suite"] / "units" / self._order.unit)
        self._told = 0
        self._tries = 0
        self._process: UnitProcess | None = None
        self._outcome: Outcome | None = Outcome(self._order.unit, "ok") if self._folder.done else None

    def step(self) -> dict[str, Any]:
        """One look, or a second of patience."""
        looks = self._folder.looks()
        if self._told >= len(looks) and self._outcome is None:
            refused = self._start() if self._process is None else None
            self._outcome = refused or self._wait()
            looks = self._folder.looks()
        if self._told < len(looks):
            self._told += 1
        shown = _shown(looks[: self._told])
        if self._outcome is None or self._told < len(looks):
            return shown
        return shown | {"done": True, OUTCOME: canonical_json(asdict(self._outcome))}

    def cleanup(self) -> None:
        """Tune wants no more of this trial: a unit that runs ends for good, with what it has.

        One that does not run, or is too young to hear the signal, is ended by the driver.
        """
        if self._process is not None and self._outcome is None:
            self._process.signal(RETIRE)
            self._process.wait(PATIENCE_SECONDS)

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Nothing: the unit keeps its own."""
        return {}

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Nothing."""

    def _start(self) -> Outcome | None:
        """Start the unit's process; an outcome if that cannot be."""
        self._tries += 1
        try:
            self._process = UnitProcess(self._order)
        except OSError as error:
            return unwritable(self._order, error)
        return None

    def _wait(self) -> Outcome | None:
        assert self._process is not None, "without a process there is an outcome"
        outcome = self._process.wait(STEP_SECONDS)
        if outcome is not None and outcome.status == "killed" and self._tries < KILLED_TRIES:
            return self._start()
        return outcome


def _shown(looks: list[Look]) -> dict[str, Any]:
    return {"look": looks[-1].look, "dice": looks[-1].mean_dice} if looks else {}
