"""Trains a finished unit again from its recorded progress: same weights, bit by bit, on the same kind of machine."""

from __future__ import annotations

from collections.abc import Sequence

from harness.api.errors import InterruptedRunError, UsageError
from harness.api.method import Stage
from harness.data.cache import Cache
from harness.records.run_folder import UnitFolder
from harness.train.build import Series, build_method, build_state, training_set
from harness.train.checkpoint import TrainingState, weights_sha256
from harness.train.environment import pick_device, prepare_device
from harness.train.step import start_stage, take_step
from harness.train.stop import StopFlag


def recorded_series(folder: UnitFolder, stages: Sequence[Stage]) -> Series:
    """Per step: index in `stages`, unit progress and stage progress, as the schedules saw them."""
    history = folder.history()
    if history.empty:
        raise UsageError(f"unit {folder.id[:10]} has no history to replay")
    order = {stage.name: index for index, stage in enumerate(stages)}  # a stage may have had no step at all
    indices = [order[name] for name in history["stage"]]
    unit, within = history["progress_unit"].tolist(), history["progress_stage"].tolist()
    return list(zip(indices, unit, within, strict=True))


def replay(folder: UnitFolder, cache: Cache, stop: StopFlag) -> str:
    """The sha256 of the predictor's weights after training on the recorded progress, without looks and tests."""
    unit = folder.unit
    device = pick_device()
    prepare_device(device, unit.engine)
    series = recorded_series(folder, build_method(unit, device).stages)
    state = build_state(unit, training_set(unit, cache, device), device, series)
    last = last_stage(folder)
    while True:
        start_stage(state)
        _replay_stage(state, stop)
        if state.meter.stage == last or not state.meter.next_stage():
            return weights_sha256(state.method.predictor)


def last_stage(folder: UnitFolder) -> int | None:
    """Index of the stage in which a search ended the unit, None for one that went through all of them."""
    result = folder.result()
    if result is None or result.status != "stopped":
        return None
    return max(index for index, seconds in enumerate(result.stage_device_seconds.values()) if seconds > 0)


def _replay_stage(state: TrainingState, stop: StopFlag) -> None:
    stage = state.stage
    plan = state.method.batches(stage, state.unit.engine.batch_size)
    while state.meter.may_step():
        if stop.is_set():
            raise InterruptedRunError("replay stopped; nothing was written")
        take_step(state, stage, plan)
