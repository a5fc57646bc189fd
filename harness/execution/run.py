"""Trains the unfinished runs of a session with the chosen executor, and shows how they go."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.api.errors import (
    DataError,
    DiskError,
    HarnessError,
    InterruptedRunError,
    MachineError,
    RunFailedError,
    UsageError,
)
from harness.execution.fork_server import ForkServer
from harness.execution.outcome import Outcome
from harness.execution.process_pool import ProcessPool, default_workers, pool_devices
from harness.execution.session import Session
from harness.records.lease import Lease, LeaseHeldError, LeaseLostError
from harness.records.schema import Run
from harness.records.status import share_of
from harness.train.stop import Heartbeat, StopFlag

log = logging.getLogger(__name__)

Executor = Literal["auto", "inline", "ray"]


@dataclass(frozen=True)
class ExecuteSettings:
    """How runs are executed. Nothing here changes their numbers.

    executor:    inline: this process, one run after the other. ray: child processes on the nodes of a Ray.
                 auto: child processes of this machine, or of the Ray at `ray_address`.
    workers:     runs at a time. None takes the number of CUDA devices, or of cores without them.
    ray_address: HOST:PORT of a Ray to join, or a file that holds it. None starts one on this machine.
    elsewhere:   as of `settle`.
    """

    executor: Executor = "auto"
    workers: int | None = None
    checkpoint_seconds: float = 30.0
    ray_address: str | None = None
    elsewhere: bool = False

    def __post_init__(self) -> None:
        if self.ray_address is not None and self.executor == "inline":
            raise UsageError("--ray-address names a Ray, which --executor inline does not use; leave out one of them")
        if (self.workers or 1) > 1 and self.executor == "inline":
            raise UsageError("--executor inline trains one run after the other; leave it out, or --workers")


def execute(
    session: Session,
    settings: ExecuteSettings,
    stop: StopFlag,
    runs: Sequence[Run] | None = None,
    server: ForkServer | None = None,
) -> list[Outcome]:
    """Train what has no result yet; an outcome for each run that was started, in the order of their ends.

    stop:   set by signals, or by the first run that cannot start or write. The others then write a checkpoint and end.
    runs:   None takes all of the session without a result.
    server: forks the processes of the pool. None starts one.

    Raises `UsageError`, `DataError` or `DiskError` for what the user must act on.
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
            from harness.execution.inline import run_inline
            from harness.train.run import RunSettings

            endings = run_inline(session, pending, RunSettings(settings.checkpoint_seconds, stop=stop))
        elif settings.executor == "ray" or settings.ray_address is not None:
            from harness.execution.ray import RayPool, ray_cluster

            cluster = stack.enter_context(ray_cluster(settings.ray_address, settings.workers, len(pending)))
            devices: list[str | None] = [None] * cluster.workers
            on_ray = RayPool(session, devices, settings.checkpoint_seconds, stop, display.tick, cluster=cluster)
            endings = on_ray.run(pending)
        else:
            devices = pool_devices(min(settings.workers or default_workers(), len(pending)))
            server = server or stack.enter_context(ForkServer())
            seconds, tick = settings.checkpoint_seconds, display.tick
            pool = ProcessPool(session, devices, seconds, stop, tick, server.start, settings.elsewhere)
            endings = pool.run(pending)
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
    kinds: tuple[type[HarnessError], ...] = (UsageError, DataError, DiskError, MachineError)
    kind = next((kind for kind in kinds if kind.exit_code == refused.exit_code), HarnessError)
    raise kind(refused.message)


def exit_code(outcomes: Sequence[Outcome], session: Session) -> int:
    """The exit code: 0 all runs have numbers, 75 some go on later, 70 some have a failure record, now or earlier."""
    if any(outcome.status in ("interrupted", "busy") for outcome in outcomes):
        return InterruptedRunError.exit_code
    results = [session.store.by_id(run).result() for run in session.named]
    failed = any(result is not None and result.status == "failed" for result in results)
    return RunFailedError.exit_code if failed else 0


LOG_SECONDS = 60.0
"""Without a terminal, seconds between two log lines about the current runs."""
DRAW_SECONDS = 1.0
BAR_WIDTH = 24


class Display:
    """Logs the end of each run. A terminal shows current runs below; elsewhere they are logged once a minute."""

    def __init__(self, session: Session, total: int, live: Live | None = None) -> None:
        self._session = session
        self._total = total
        self._live = live
        self._ended = 0
        self._shown_at = time.monotonic()

    def tick(self, running: Sequence[Run]) -> None:
        """Show the current runs, if the last time is long enough ago. May be called often."""
        if time.monotonic() - self._shown_at < (LOG_SECONDS if self._live is None else DRAW_SECONDS):
            return
        self._shown_at = time.monotonic()
        shares = {
            self._session.name_of(run): share_of(run.budget, self._session.folder(run).ledger.spent())
            for run in running
        }
        if self._live is not None:
            self._live.update(self._table(shares))
        elif shares:
            log.info("running: %s", "; ".join(f"{name} {share:.0%}" for name, share in shares.items()))

    def ended(self, run: Run, outcome: Outcome) -> None:
        self._ended += 1
        self._total = max(self._total, self._ended)  # a search that stops trials early has room for more
        log.info("[%s/%s] %s", self._ended, self._total, describe_ending(self._session, run, outcome))

    def _table(self, shares: dict[str, float]) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, share in shares.items():
            full = round(BAR_WIDTH * share)
            table.add_row(name, "█" * full + "░" * (BAR_WIDTH - full), f"{share:4.0%}")
        table.add_row(f"{self._ended} of {self._total} runs ended", "", "")
        return table


@contextmanager
def make_display(session: Session, total: int) -> Iterator[Display]:
    """A display of `total` runs, on the terminal while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(session, total)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:  # prints log lines above its table
        yield Display(session, total, live)


def describe_ending(session: Session, run: Run, outcome: Outcome) -> str:
    name, result = session.name_of(run), session.folder(run).result() if outcome.status == "ok" else None
    if result is None:
        head = f"{name}: {outcome.status}"  # a child process prints this head too
        message = outcome.message.removeprefix(f"{head}: ")
        return f"{head}: {message}" if message else head
    last = result.validations[-1].mean_dice if result.validations else None
    dice = "" if last is None else f", validation Dice {last:.3f}"
    spent = result.spent
    return f"{name}: {spent.useful_steps} steps in {spent.useful_device_seconds:.1f} device-seconds{dice}"


@contextmanager
def lock_suite(lease: Lease, doing: str, stop: StopFlag, patience_seconds: float) -> Iterator[Callable[[], None]]:
    """Hold a lease while the block runs; yields a function that raises `UsageError` if another process took over.

    doing: what its holder does, for messages: "is submitting this suite".
    stop:  set by a thread as soon as another process took over, say while this one was suspended.

    Raises `UsageError` where another process still holds it after `patience_seconds`.
    """
    folder = lease.path.parent
    try:
        lease.claim(patience_seconds)
    except LeaseHeldError:
        holder = lease.holder()
        who = f"pid {holder.pid} on {holder.host}" if holder else "another process"
        raise UsageError(f"{folder}: {who} {doing}; try again when it has ended") from None

    def check_lock() -> None:
        try:
            lease.beat()
        except LeaseLostError:
            raise UsageError(f"{folder}: another process took over and {doing}; run it again") from None

    try:
        with Heartbeat(check_lock, stop):
            yield check_lock
    finally:
        lease.release()
