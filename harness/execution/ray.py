"""Runs units in parallel on Ray: one thread each on a CPU, a whole GPU each where there are any."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.api.errors import InterruptedRunError, UnitFailedError
from harness.execution.outcome import Outcome
from harness.execution.pool import Pool
from harness.execution.process import Order, run_process
from harness.execution.session import Session
from harness.execution.signal_forwarding import StopForwarder
from harness.records.lease import LeaseHeldError
from harness.records.run_folder import UnitFolder
from harness.records.schema import Failure, Result, Unit
from harness.train.attempt import now
from harness.train.stop import StopFlag

POLL_SECONDS = 0.5
RUMOUR_SECONDS = 2.0
"""That a worker died may be known before the signal that ended it arrives here too."""
KILLED_TRIES = 2
"""A unit that was killed is started once more, from its checkpoint."""


def run_ray(
    session: Session,
    units: Sequence[Unit],
    pool: Pool,
    stop: StopFlag,
    checkpoint_seconds: float,
    tick: Callable[[list[Unit]], None],
) -> Iterator[Outcome]:
    """Yield an outcome per unit as it ends. `tick` gets the running units about twice a second."""
    orders = {unit.id: make_order(session, unit, checkpoint_seconds) for unit in units}
    by_id = {unit.id: unit for unit in units}
    tries: dict[str, int] = {}
    stop.install()  # Ray puts its own SIGTERM handler in the driver's place
    remote = pool.ray.remote(num_cpus=1, num_gpus=pool.unit_gpus, max_retries=0)(run_process)
    forward = StopForwarder(session, pool.ray)
    waiting = list(orders)
    running: dict[Any, str] = {}
    while running or (waiting and not stop.is_set()):
        while waiting and len(running) < pool.workers and not stop.is_set():
            unit = waiting.pop(0)
            tries[unit] = tries.get(unit, 0) + 1
            running[remote.remote(orders[unit])] = unit
        if stop.is_set():
            forward([by_id[unit] for unit in running.values()])
        if not running:
            break
        finished, _ = pool.ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
        tick([by_id[unit] for unit in running.values()])
        for reference in finished:
            unit = running.pop(reference)
            outcome = stopped(collect(pool.ray, reference, unit, stop), stop)
            if outcome.status == "killed" and tries[unit] < KILLED_TRIES:
                waiting.insert(0, unit)
                continue
            yield settle(session, by_id[unit], outcome)


def collect(ray: Any, reference: Any, unit: str, stop: StopFlag) -> Outcome:  # noqa: ANN401 - ray is untyped
    """The outcome that the worker returned; a worker that died counts as a killed unit."""
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayError as error:
        stop.wait(RUMOUR_SECONDS)
        return Outcome(unit, "killed", str(error).splitlines()[0])
    return outcome


def stopped(outcome: Outcome, stop: StopFlag) -> Outcome:
    """A signal to a whole job hits workers and units that cannot listen yet: what dies then was not killed."""
    if outcome.status != "killed" or not stop.is_set():
        return outcome
    return Outcome(outcome.unit, "interrupted", stop.reason, InterruptedRunError.exit_code)


def settle(session: Session, unit: Unit, outcome: Outcome) -> Outcome:
    """Write the failure record of a unit that was killed too often, so that it becomes a row.

    A process that died after its result was written has done its work, and one whose ledger has an end has left by
    itself, whatever became of its worker.
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
        result, lines = folder.result(), folder.ledger.lines()
        if result is None and lines and lines[-1].kind == "end":
            return Outcome(unit.id, "interrupted", lines[-1].note or "", InterruptedRunError.exit_code)
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
