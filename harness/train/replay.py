"""Trains a finished run again from its recorded progress: same weights, bit by bit, on the same kind of machine."""

from __future__ import annotations

from collections.abc import Sequence

from harness.api.errors import InterruptedRunError, UsageError
from harness.api.method import Stage
from harness.data.cache import Cache
from harness.records.run_folder import RunFolder
from harness.train.build import Series, build_method, build_state, training_set
from harness.train.checkpoint import TrainingState, weights_sha256
from harness.train.environment import pick_device, prepare_device
from harness.train.step import start_stage, take_step
from harness.train.stop import StopFlag


def recorded_series(folder: RunFolder, stages: Sequence[Stage]) -> Series:
    """Per step: index in `stages`, run progress and stage progress, as the schedules saw them."""
    history = folder.history()
    if history.empty:
        raise UsageError(f"run {folder.id[:10]} has no history to replay")
    order = {stage.name: index for index, stage in enumerate(stages)}  # a stage may have had no step at all
    indices = [order[name] for name in history["stage"]]
    run, within = history["progress_run"].tolist(), history["progress_stage"].tolist()
    return list(zip(indices, run, within, strict=True))


def replay(folder: RunFolder, cache: Cache, stop: StopFlag) -> str:
    """The sha256 of the predictor's weights after training on the recorded progress, without validations and tests."""
    run = folder.run
    device = pick_device()
    prepare_device(device, run.engine)
    series = recorded_series(folder, build_method(run, device).stages)
    state = build_state(run, training_set(run, cache, device), device, series)
    last = last_stage(folder)
    while True:
        start_stage(state)
        _replay_stage(state, stop)
        if state.meter.stage == last or not state.meter.next_stage():
            return weights_sha256(state.method.predictor)


def last_stage(folder: RunFolder) -> int | None:
    """Index of the stage in which a search ended the run, None for one that went through all of them."""
    result = folder.result()
    if result is None or result.status != "ended_early":
        return None
    return max(index for index, seconds in enumerate(result.stage_device_seconds.values()) if seconds > 0)


def _replay_stage(state: TrainingState, stop: StopFlag) -> None:
    stage = state.stage
    plan = state.method.batches(stage, state.run.engine.batch_size)
    while state.meter.may_step():
        if stop.is_set():
            raise InterruptedRunError("replay stopped; nothing was written")
        take_step(state, stage, plan)
