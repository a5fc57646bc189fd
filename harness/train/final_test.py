"""The one test: opens the test split with weights that can no longer change."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from harness.api.errors import InterruptedRunError
from harness.data.cache import Cache
from harness.data.permit import TestPermit
from harness.evaluation.evaluate import case_rows, load_volumes, predict_all
from harness.records.files import write_text
from harness.train.attempt import Attempt
from harness.train.build import task_of_run
from harness.train.checkpoint import TrainingState, weights_sha256


def test_once(state: TrainingState, attempt: Attempt, cache: Cache, selection: Path) -> None:
    """Predict every test case with the last weights and with those of the best validation, and write all metrics."""
    import pandas as pd

    run, folder, task = state.run, attempt.folder, task_of_run(state.run)
    permit = TestPermit(selection, run.id, folder.final)
    if not permit.asked_for:  # edited while the run trained: nobody's violation
        raise InterruptedRunError(f"{selection} does not name this run any more")
    write_text(folder.final, f'{{"weights_sha256": "{weights_sha256(state.method.predictor)}"}}\n')
    volumes = load_volumes(cache.test_cases(permit), run.preprocessing, state.device)
    predicted = predict_all(state.method.predictor, volumes, task, run.engine)
    last = case_rows(predicted, volumes, task, "last")
    tables = [last]
    if state.best_validation == state.last_validation:
        tables.append(last.assign(checkpoint="best_val"))
    elif state.best_validation is not None:  # without validation cases no validation is the best
        of_best = predict_all(best_predictor(state), volumes, task, run.engine)
        tables.append(case_rows(of_best, volumes, task, "best_val"))
    attempt.check()
    folder.write_predictions(predicted)
    folder.write_cases(pd.concat(tables, ignore_index=True))


def best_predictor(state: TrainingState) -> torch.nn.Module:
    """The predictor with the weights of the best validation."""
    predictor = copy.deepcopy(state.method.predictor)
    if state.best is not None:
        predictor.load_state_dict(state.best)
    return predictor
