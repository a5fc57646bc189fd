"""Runs units in parallel on a local Ray: one thread each on a CPU, a whole GPU each on CUDA."""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.execute.outcome import Outcome
from harness.execute.process import Order, run_process
from harness.execute.session import Session
from harness.spec.errors import InterruptedRunError, ServiceError, UnitFailedError
from harness.spec.records import Failure, Result, Unit
from harness.store import LeaseHeldError, UnitFolder
from harness.train import StopFlag
from harness.train.attempt import now

OBJECT_STORE_BYTES = 100_000_000
POLL_SECONDS = 0.5
KILLED_TRIES = 2
"""A unit that was killed is started once more, from its checkpoint."""


def run_ray(
    session: Session,
    units: Sequence[Unit],
    workers: int,
    stop: StopFlag,
    checkpoint_seconds: float,
    tick: Callable[[list[Unit]], None],
) -> Iterator[Outcome]:
    """Yield an outcome per unit as it ends. `tick` gets the running units about twice a second."""
    orders = {unit.id: make_order(session, unit, checkpoint_seconds) for unit in units}
    by_id = {unit.id: unit for unit in units}
    tries: dict[str, int] = {}
    with local_ray(workers) as ray:
        stop.install()  # Ray puts its own SIGTERM handler in the driver's place
        remote = ray.remote(num_cpus=1, num_gpus=1 if visible_gpus() else 0, max_retries=0)(run_process)
        waiting = list(orders)
        running: dict[Any, str] = {}
        while running or (waiting and not stop.is_set()):
            while waiting and len(running) < workers and not stop.is_set():
                unit = waiting.pop(0)
                tries[unit] = tries.get(unit, 0) + 1
                running[remote.remote(orders[unit])] = unit
            if stop.is_set():
                forward_stop(session, [by_id[unit] for unit in running.values()])
            if not running:
                break
            finished, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            tick([by_id[unit] for unit in running.values()])
            for reference in finished:
                unit = running.pop(reference)
                outcome = collect(ray, reference, unit)
                if outcome.status == "killed" and tries[unit] < KILLED_TRIES:
                    waiting.insert(0, unit)
                    continue
                yield settle(session, by_id[unit], outcome)


def collect(ray: Any, reference: Any, unit: str) -> Outcome:  # noqa: ANN401 - ray is untyped
    """The outcome that the worker returned; a worker that died counts as a killed unit."""
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        return Outcome(unit, "killed", str(error).splitlines()[0])
    return outcome


def settle(session: Session, unit: Unit, outcome: Outcome) -> Outcome:
    """Write the failure record of a unit that was killed too often, so that it becomes a row.

    A process that died after its result was written has done its work.
    """
    if outcome.status != "killed":
        return outcome
    folder = session.folder(unit)
    lease = folder.lease
    try:
        lease.claim()
    except LeaseHeldError as error:
        return Outcome(unit.id, "held", str(error), InterruptedRunError.exit_code)
    try:
        result = folder.result()
        if result is None:
            result = killed_result(folder, outcome)
            folder.write_result(result)
    finally:
        lease.release()
    if result.failure is None:
        return Outcome(unit.id, "ok")
    return Outcome(unit.id, "failed", f"{result.failure.kind}: {result.failure.reason}", UnitFailedError.exit_code)


def killed_result(folder: UnitFolder, outcome: Outcome) -> Result:
    """The record of a unit whose process died without a word, as often as it was started."""
    lines = folder.ledger.lines()
    reason = f"its process died {KILLED_TRIES} times (signal {outcome.exit_code})"
    return Result(
        unit=folder.id,
        status="failed",
        failure=Failure(kind="killed", reason=reason),
        environment=lines[-1].environment if lines else "",
        spent=folder.ledger.spent(),
        finished_at=now(),
    )


def make_order(session: Session, unit: Unit, checkpoint_seconds: float, allowance: float = math.inf) -> Order:
    """Everything the child needs, with absolute paths."""
    suite = session.store.root / "suites" / f"{session.plan.loaded.suite.hash}.yaml"
    return Order(
        unit=unit.id,
        suite=str(suite.resolve()),
        cache=str(session.cache.folder.resolve()),
        runs=str(session.store.root.parent.resolve()),
        log=str(session.folder(unit).log.resolve()),
        checkpoint_seconds=checkpoint_seconds,
        driver=os.getpid(),
        allowance=allowance,
    )


def forward_stop(session: Session, units: Sequence[Unit]) -> None:
    """SIGTERM to the living children of this driver that hold the leases: they checkpoint and leave."""
    for unit in units:
        lease = session.folder(unit).lease
        holder = lease.holder()
        if holder is not None and holder.driver == os.getpid() and lease.held():
            try:
                os.kill(holder.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue


def visible_gpus() -> int:
    """CUDA devices that this process may use."""
    import torch

    return torch.cuda.device_count()


@contextmanager
def local_ray(workers: int) -> Iterator[Any]:
    """A Ray of our own with explicit resources, a short temp dir, no dashboard and no noise; gone at the end."""
    os.environ.setdefault("RAY_DISABLE_USAGE_STATS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray's default of 15 would let any neighbour take the processor from units whose time is measured
    os.environ.setdefault("RAY_worker_niceness", "0")
    # AF_UNIX paths end at 107 bytes: the temp dir must be short, whatever TMPDIR says
    folder = Path(tempfile.mkdtemp(prefix="h", dir="/tmp"))
    # a token of our own: other users of the machine stay out, and the home directory is not written. Ray reads it once
    # a process, so a second Ray of this process (finals after a search) must have the first one's
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError:
        shutil.rmtree(folder, ignore_errors=True)
        raise ServiceError("ray is not installed; `pip install 'ray[tune]'`, or use --executor inline") from None
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            num_gpus=visible_gpus(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    except (RuntimeError, ValueError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ServiceError(f"a local Ray did not start ({error}); use --executor inline") from None
    try:
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
