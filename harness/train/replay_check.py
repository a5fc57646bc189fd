"""Replays a run and says what is different where the weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.api.errors import RunFailedError, UsageError
from harness.data.prepare import resolve
from harness.records.run_folder import RunFolder
from harness.records.schema import Environment
from harness.suite.registry import load_dataset
from harness.train.environment import describe, pick_device
from harness.train.replay import replay
from harness.train.stop import StopFlag


@dataclass(frozen=True)
class Again:
    """Weights of a run, recorded and trained again; sha256 of the predictor.

    differences: what is not as it was: name -> (then, now), of the environment and of the code.
    """

    run: str
    recorded: str
    replayed: str
    differences: Mapping[str, tuple[str, str]]

    def check(self) -> None:
        """Raise `RunFailedError` unless the weights are equal; it names what is different here."""
        if self.recorded == self.replayed:
            return
        different = "; ".join(f"{name}: {then} then, {now} now" for name, (then, now) in self.differences.items())
        raise RunFailedError(
            f"run {self.run[:10]}: the weights differ. "
            + (f"Different here: {different}" if different else "Device, torch, data and code are as they were.")
        )


def train_again(folder: RunFolder, data: Path | None, stop: StopFlag) -> Again:
    """Replay a finished run. Raises `UsageError` for one that has no weights to compare with."""
    result = folder.result()
    if result is None or result.weights_sha256 is None:
        state = "is not finished" if result is None else "ended with a failure"
        raise UsageError(f"run {folder.id[:10]} {state}: there are no weights to compare with")
    run, then = folder.run, folder.environment()
    cache = resolve(load_dataset(run.dataset.name), data)
    replayed = replay(folder, cache, stop)
    now = describe(pick_device(), run.engine, cache.reference.checksum)
    return Again(folder.id, result.weights_sha256, replayed, {} if then is None else differences(then, now))


def differences(then: Environment, now: Environment) -> dict[str, tuple[str, str]]:
    """Compared fields that differ, and the commit of the code."""
    old, new = (one.model_dump(mode="json", exclude={"shown", "schema_version"}) for one in (then, now))
    found = {name: (str(old[name]), str(new[name])) for name in old if old[name] != new[name]}
    commits = str(then.shown.get("commit")), str(now.shown.get("commit"))
    return found if commits[0] == commits[1] else {**found, "commit": commits}
