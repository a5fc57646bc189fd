"""Trains a finished run again from its recorded progress and compares the weights with the recorded ones.

They are the same bit by bit on the same processor model, torch build and thread count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.api.errors import InterruptedRunError, RunFailedError, UsageError
from harness.api.method import Stage
from harness.data.cache import Cache
from harness.data.prepare import resolve
from harness.records.reader import RunRecord
from harness.records.run_folder import RunFolder
from harness.records.schema import Environment
from harness.suite.registry import load_dataset
from harness.train.build import (
    Series,
    build_method,
    build_state,
    enter_stages,
    take_step,
    training_cases,
    training_set,
)
from harness.train.checkpoint import weights_sha256
from harness.train.environment import describe, pick_device, prepare_device
from harness.train.stop import StopFlag


@dataclass(frozen=True)
class ReplayCheck:
    """sha256 of a run's weights, recorded and replayed, and what has changed since: name -> (then, now)."""

    run: str
    recorded: str
    replayed: str
    differences: Mapping[str, tuple[str, str]]

    def check(self) -> None:
        """Raise `RunFailedError` where the weights differ; it names what has changed."""
        if self.recorded == self.replayed:
            return
        different = "; ".join(f"{name}: {then} then, {now} now" for name, (then, now) in self.differences.items())
        raise RunFailedError(
            f"run {self.run[:10]}: the weights differ. "
            + (f"Different here: {different}" if different else "Device, torch, data and code are as they were.")
        )


def check_replay(record: RunRecord, data: Path | None, stop: StopFlag) -> ReplayCheck:
    """Replay a finished run beside its record, and write nothing.

    Raises `UsageError` where the run has no weights to compare with, `InterruptedRunError` where the replay was
    stopped.
    """
    result = record.result
    if result is None or result.weights_sha256 is None:
        state = "is not finished" if result is None else "ended with a failure"
        raise UsageError(f"run {record.id[:10]} {state}: there are no weights to compare with")
    run, then = record.run, record.environment
    cache = resolve(load_dataset(run.dataset.name), data)
    replayed = replay(record.folder, cache, stop)
    now = describe(pick_device(), run.engine, cache.reference.checksum)
    return ReplayCheck(record.id, result.weights_sha256, replayed, {} if then is None else differences(then, now))


def differences(then: Environment, now: Environment) -> dict[str, tuple[str, str]]:
    """Compared fields that differ, and the commit of the code: name -> (then, now)."""
    old, new = (environment.model_dump(mode="json", exclude={"shown", "schema_version"}) for environment in (then, now))
    old["commit"], new["commit"] = then.shown.get("commit"), now.shown.get("commit")
    return {name: (str(old[name]), str(new[name])) for name in old if old[name] != new[name]}


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
    state = build_state(run, training_set(run, training_cases(run, cache), device), device, series)
    last = last_stage(folder)
    for stage, plan in enter_stages(state):
        while state.meter.may_step():
            if stop.is_set():
                raise InterruptedRunError("replay stopped; nothing was written")
            take_step(state, stage, plan)
        if state.meter.stage == last:
            break
    return weights_sha256(state.method.predictor)


def last_stage(folder: RunFolder) -> int | None:
    """Index of the stage in which a search ended the run, None for one that went through all of them."""
    result = folder.result()
    if result is None or result.status != "ended_early":
        return None
    return max(index for index, seconds in enumerate(result.stage_device_seconds.values()) if seconds > 0)
