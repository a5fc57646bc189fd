"""Runs what a session has left, with the executor that was asked for."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.api.errors import DataError, DiskError, HarnessError, InterruptedRunError, UnitFailedError, UsageError
from harness.execution.display import Display, make_display
from harness.execution.inline import run_inline
from harness.execution.outcome import Outcome
from harness.execution.session import Session
from harness.records.schema import Unit
from harness.train.stop import StopFlag

Executor = Literal["auto", "inline", "ray"]


@dataclass(frozen=True)
class ExecuteSettings:
    """How units are run; nothing here changes their numbers.

    executor:    inline (this process), ray (several at once), auto (ray where it is installed).
    workers:     units at once; None takes the CUDA devices, or the cores without them.
    ray_address: of a Ray to join, HOST:PORT or a file that says it; None brings one up on this machine.
    """

    executor: Executor = "auto"
    workers: int | None = None
    checkpoint_seconds: float = 30.0
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.ray_address is not None and self.executor == "inline":
            raise UsageError("--ray-address names a Ray, which --executor inline does not use; leave out one of them")


def execute(session: Session, settings: ExecuteSettings, stop: StopFlag) -> list[Outcome]:
    """Run all pending units; raises what the user must act on (bad data, a full disk) after the others were told."""
    pending = session.pending()
    if not pending:
        return []
    units = {unit.id: unit for unit in pending}
    outcomes = []
    with stop.on_signals(), make_display(session, len(pending)) as display:
        for outcome in _outcomes(session, pending, settings, stop, display):
            outcomes.append(outcome)
            display.ended(units[outcome.unit], outcome)
            if outcome.status == "refused":
                stop.set(outcome.message)
    raise_refused(outcomes)
    return outcomes


def _outcomes(
    session: Session, pending: Sequence[Unit], settings: ExecuteSettings, stop: StopFlag, display: Display
) -> Iterator[Outcome]:
    if use_ray(settings.executor):
        from harness.execution.pool import ray_pool
        from harness.execution.ray import run_ray

        with ray_pool(settings, len(pending)) as pool:
            yield from run_ray(session, pending, pool, stop, settings.checkpoint_seconds, display.tick)
        return
    yield from run_inline(session, pending, stop, settings.checkpoint_seconds, display.say)


def workers_for(settings: ExecuteSettings, units: int) -> int:
    """Units at once."""
    return min(settings.workers or default_workers(), units)


def use_ray(executor: Executor) -> bool:
    """Whether units run on Ray."""
    if executor == "auto":
        # also for one unit at a time: a unit that poisons its process must not take the others with it
        return importlib.util.find_spec("ray") is not None
    return executor == "ray"


def default_workers() -> int:
    """One unit per CUDA device, or per core that this process may use."""
    import torch

    return torch.cuda.device_count() or len(os.sched_getaffinity(0))


def raise_refused(outcomes: Sequence[Outcome]) -> None:
    """Raise what the user must act on: bad data, a full disk."""
    refused = next((outcome for outcome in outcomes if outcome.status == "refused"), None)
    if refused is None:
        return
    kinds: tuple[type[HarnessError], ...] = (UsageError, DataError, DiskError)
    kind = next((kind for kind in kinds if kind.exit_code == refused.exit_code), HarnessError)
    raise kind(refused.message)


def exit_code(outcomes: Sequence[Outcome], session: Session, stopped: bool) -> int:
    """0 all there, 75 some go on later, 70 some ended with a failure record, now or earlier."""
    if stopped or any(outcome.status in ("interrupted", "held") for outcome in outcomes):
        return InterruptedRunError.exit_code
    results = [session.store.by_id(unit).result() for unit in session.named]
    failed = any(result is not None and result.status == "failed" for result in results)
    return UnitFailedError.exit_code if failed else 0
