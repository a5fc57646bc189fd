"""Measuring weights outside the clock and the training's randomness: validations, and the one test."""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.api.dataset import Task
from harness.data.cache import Cache
from harness.data.permit import TestPermit
from harness.data.preprocess import preprocess
from harness.evaluation.evaluate import Volume, case_rows, load_volumes, mean_dice, predict_all
from harness.records.files import write_record
from harness.records.run_folder import RunFolder
from harness.records.schema import FinalWeights, Pace, Validation
from harness.train.attempt import Attempt
from harness.train.build import task_of_run
from harness.train.checkpoint import TrainingState, weights_sha256

PSEUDO_LABELS_EVERY = 3
"""Validations, and at the last one: predicting those scans takes nearly as long as the validation itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Validator:
    """What a validation sees: its volumes, and a few training ones whose labels are hidden from the method."""

    folder: RunFolder
    task: Task
    volumes: Sequence[Volume]
    unlabelled: Sequence[Volume]

    def validate(self, state: TrainingState, number: int, pace: Pace | None = None) -> None:
        """Measure, remember the weights if they are the best so far, and write, with what steps cost now."""
        with state.monitor.validation(state.method):
            validation = self._measure(state, number).model_copy(update={"pace": pace})
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
        due = number % PSEUDO_LABELS_EVERY == 0 or number == engine.validations
        unlabelled = self.unlabelled if due else ()
        with torch.random.fork_rng(devices=[state.device] if state.device.type == "cuda" else []):
            diagnostics = {name: value for name, value in method.diagnostics().items() if math.isfinite(value)}
        return Validation(
            validation=number,
            progress=state.meter.progress().run,
            step=state.meter.steps,
            device_seconds=state.meter.seconds,
            dice=dice,
            patients=tuple(dict.fromkeys(volume.case.patient for volume in self.volumes)),
            diagnostics=diagnostics,
            unlabelled_dice=mean_dice(method.pseudo_label_network, unlabelled, self.task, engine) or None,
        )


def test_once(state: TrainingState, attempt: Attempt, cache: Cache, selection: Path) -> None:
    """Predict every test case with the last weights and with those of the best validation, and write all metrics."""
    import pandas as pd

    run, folder, task = state.run, attempt.folder, task_of_run(state.run)
    permit = TestPermit(selection, run.id, folder.final)
    permit.refuse_changed_selection()
    write_record(
        folder.to_write(folder.final.name), FinalWeights(weights_sha256=weights_sha256(state.method.predictor))
    )
    cases = preprocess(cache.manifest.of("test"), cache.test_cases(permit), run.preprocessing)
    volumes = load_volumes(cases, state.device)
    predicted = predict_all(state.method.predictor, volumes, task, run.engine)
    last = case_rows(predicted, volumes, task, run.engine, "last")
    tables = [last]
    if state.best_validation == state.last_validation:
        tables.append(last.assign(checkpoint="best_val"))
    elif state.best is not None:  # without validation cases no validation is the best
        best = copy.deepcopy(state.method.predictor)
        best.load_state_dict(state.best)
        of_best = predict_all(best, volumes, task, run.engine)
        tables.append(case_rows(of_best, volumes, task, run.engine, "best_val"))
    attempt.check()
    folder.write_predictions(predicted)
    folder.write_cases(pd.concat(tables, ignore_index=True))
