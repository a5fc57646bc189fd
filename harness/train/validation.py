"""Validations: the current weights on validation volumes, outside the clock and the training's randomness."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from harness.api.dataset import Task
from harness.evaluation.evaluate import Volume, mean_dice
from harness.records.run_folder import RunFolder
from harness.records.schema import Validation
from harness.train.checkpoint import TrainingState

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validator:
    """What a validation sees.

    Attributes:
        folder: Where the validations so far are written, for those who watch.
        task: The task at training resolution.
        volumes: All validation volumes.
        unlabelled: A few training volumes whose labels are hidden from the method.
    """

    folder: RunFolder
    task: Task
    volumes: Sequence[Volume]
    unlabelled: Sequence[Volume]

    def validate(self, state: TrainingState, number: int) -> None:
        """Measure, remember the weights if they are the best so far, and write."""
        with state.monitor.validation(state.method):
            validation = self._measure(state, number)
            state.remember_best(validation)
            self.folder.write_validations(state.validations)
        seen = "no validation cases" if validation.mean_dice is None else f"validation Dice {validation.mean_dice:.3f}"
        log.info(
            "%s: validation %d/%d, step %d, %.0f device-seconds, %s",
            *(state.run.label, number, state.run.engine.validations, validation.step, validation.device_seconds, seen),
        )

    def _measure(self, state: TrainingState, number: int) -> Validation:
        method, engine = state.method, state.run.engine
        dice = mean_dice(method.predictor, self.volumes, self.task, engine)
        taught = mean_dice(method.pseudo_label_network, self.unlabelled, self.task, engine) if self.unlabelled else None
        with torch.random.fork_rng(devices=[state.device] if state.device.type == "cuda" else []):
            diagnostics = {name: value for name, value in method.diagnostics().items() if math.isfinite(value)}
        return Validation(
            validation=number,
            progress=state.meter.progress().run,
            step=state.meter.steps,
            device_seconds=state.meter.seconds,
            dice=dice,
            diagnostics=diagnostics,
            unlabelled_dice=taught,
        )
