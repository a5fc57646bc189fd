"""Trains the unfinished runs of a session with the chosen executor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from harness.api.errors import DataError, DiskError, HarnessError, InterruptedRunError, RunFailedError, UsageError
from harness.data.local import local_copy, local_home
from harness.execution.display import make_display
from harness.execution.outcome import Outcome, outcome_of
from harness.execution.process_pool import ProcessPool, default_workers, pool_devices
from harness.execution.session import Session
from harness.records.lease import LeaseHeldError
from harness.records.schema import Run
from harness.train.run import RunSettings, train_run
from harness.train.stop import StopFlag

Executor = Literal["auto", "inline", "ray"]


@dataclass(frozen=True)
class ExecuteSettings:
    """How runs are executed. Nothing here changes their numbers.

    executor:           inline: this process, one run after the other. ray: child processes on the nodes of a Ray.
                        auto: child processes of this machine, or of the Ray at `ray_address`.
    workers:            runs at a time. None takes the number of CUDA devices, or of cores without them.
    checkpoint_seconds: wall seconds between two checkpoints of a run.
    ray_address:        HOST:PORT of a Ray to join, or a file that holds it. None starts one on this machine.
    """

    executor: Executor = "auto"
    workers: int | None = None
    checkpoint_seconds: float = 30.0
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.ray_address is not None and self.executor == "inline":
            raise UsageError("--ray-address names a Ray, which --executor inline does not use; leave out one of them")


def execute(
    session: Session, settings: ExecuteSettings, stop: StopFlag, runs: Sequence[Run] | None = None
) -> list[Outcome]:
    """Train what has no result yet.

    Args:
        session:  the suite with its data and records.
        settings: how runs are executed.
        stop:     set by signals, or by the first run that cannot start or write. The others then write a checkpoint
                  and end.
        runs:     the runs. None takes all of the session without a result.

    Returns:
        An outcome for each run that was started, in the order of their ends.

    Raises:
        UsageError, DataError, DiskError: what the user must act on.
    """
    pending = session.pending() if runs is None else runs
    if not pending:
        return []
    by_id = {run.id: run for run in pending}
    outcomes: list[Outcome] = []
    with ExitStack() as stack:
        stack.enter_context(stop.on_signals())
        display = stack.enter_context(make_display(session, len(pending)))
        if settings.executor == "inline":
            endings = run_inline(session, pending, RunSettings(settings.checkpoint_seconds, stop=stop))
        elif settings.executor == "ray" or settings.ray_address is not None:
            from harness.execution.ray import RayPool, ray_cluster

            cluster = stack.enter_context(ray_cluster(settings.ray_address, settings.workers, len(pending)))
            devices: list[str | None] = [None] * cluster.workers
            pool = RayPool(session, devices, settings.checkpoint_seconds, stop, display.tick, cluster)
            endings = pool.run(pending)
        else:
            devices = pool_devices(min(settings.workers or default_workers(), len(pending)))
            endings = ProcessPool(session, devices, settings.checkpoint_seconds, stop, display.tick).run(pending)
        for outcome in endings:
            outcomes.append(outcome)
            display.ended(by_id[outcome.run], outcome)
            if outcome.status == "refused":
                stop.set(outcome.message)
    raise_refused(outcomes)
    return outcomes


def raise_refused(outcomes: Sequence[Outcome]) -> None:
    """Raise the error of the first refused run, which the user must act on: bad data, a full disk."""
    refused = next((outcome for outcome in outcomes if outcome.status == "refused"), None)
    if refused is None:
        return
    kinds: tuple[type[HarnessError], ...] = (UsageError, DataError, DiskError)
    kind = next((kind for kind in kinds if kind.exit_code == refused.exit_code), HarnessError)
    raise kind(refused.message)


def exit_code(outcomes: Sequence[Outcome], session: Session, stopped: bool) -> int:
    """The exit code: 0 all runs have numbers, 75 some go on later, 70 some have a failure record, now or earlier."""
    if stopped or any(outcome.status in ("interrupted", "busy") for outcome in outcomes):
        return InterruptedRunError.exit_code
    results = [session.store.by_id(run).result() for run in session.named]
    failed = any(result is not None and result.status == "failed" for result in results)
    return RunFailedError.exit_code if failed else 0


def run_inline(session: Session, runs: Sequence[Run], settings: RunSettings) -> Iterator[Outcome]:
    """Yield the outcome of each run as it ends. Ends early when asked to stop.

    Errors that the user must act on are raised: `UsageError`, `DataError`, `DiskError`.
    """
    for run in runs:
        if settings.stop.is_set():
            return
        folder = session.folder(run)
        cache = session.cache if folder.done else local_copy(session.cache, local_home())
        try:
            outcome = outcome_of(train_run(folder, cache, session.store.selection_path, settings))
        except InterruptedRunError as error:
            outcome = Outcome(run.id, "interrupted", str(error), error.exit_code)
        except LeaseHeldError as error:
            outcome = Outcome(run.id, "busy", str(error), InterruptedRunError.exit_code)
        yield outcome
