"""A run in a child process: it has its own threads, gets signals by pid, and its death harms no other run.

A driver starts the command that a user would type. Environment variables hold what only the driver knows:

HARNESS_DRIVER:    pid of the `harness run` that leads. The child writes it into its lease, where a stop finds it.
HARNESS_PARENT:    pid of the process that started the child. The child stops when that process is gone.
HARNESS_ALLOWANCE: what a trial of a search may spend, in the budget's currency, lost spending included.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import harness
from harness.api.errors import DiskError, HarnessError, InterruptedRunError, RecordError, RunFailedError
from harness.execution.memory import NO_MEMORY, count_memory_kills
from harness.execution.outcome import MAX_STARTS, Outcome, Status
from harness.records.lease import LeaseHeldError
from harness.records.owner import DRIVER_VARIABLE
from harness.records.run_folder import RunFolder
from harness.records.schema import Run
from harness.records.suite_folder import SuiteFolder
from harness.records.variables import number_of, whole_number_of
from harness.train.stop import StopFlag

if TYPE_CHECKING:
    from harness.execution.session import Session

PARENT_VARIABLE = "HARNESS_PARENT"
ALLOWANCE_VARIABLE = "HARNESS_ALLOWANCE"
BUSY = 73
"""Exit code of the child when another process holds the run."""


@dataclass(frozen=True)
class Order:
    """The arguments of a child process. Holds plain values, so that it can be sent to another node.

    suite:   absolute path of the suite's text in its run directory, SUITE/suites/<hash>.yaml.
    cache:   absolute path of the prepared data.
    devices: CUDA_VISIBLE_DEVICES of the child. None leaves the variable as it is.
    """

    run: str
    suite: str
    cache: str
    checkpoint_seconds: float
    driver: int
    allowance: float = math.inf
    devices: str | None = None

    @property
    def folder(self) -> RunFolder:
        return SuiteFolder(Path(self.suite).parent.parent).by_id(self.run)

    def arguments(self) -> list[str]:
        """What a user would type behind `harness`."""
        return [
            *("train", self.run, "--suite", self.suite, "--data", self.cache),
            *("--runs", str(Path(self.suite).parents[2]), "--checkpoint-seconds", str(self.checkpoint_seconds)),
        ]

    def variables(self, parent: int) -> dict[str, str]:
        """Variables of the child alone. parent: pid of the process that starts it."""
        for_child = {
            DRIVER_VARIABLE: str(self.driver),
            PARENT_VARIABLE: str(parent),
            ALLOWANCE_VARIABLE: repr(self.allowance),
        }
        return for_child if self.devices is None else for_child | {"CUDA_VISIBLE_DEVICES": self.devices}


def harness_command(*arguments: str) -> list[str]:
    """Our command line in a process of its own."""
    # -P: a folder methods/ in the current directory must not hide ours
    return [sys.executable, "-P", "-m", "harness", *arguments]


def harness_environment() -> dict[str, str]:
    """The variables of this process, with which `harness_command` runs the code that runs here."""
    root = str(Path(harness.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path}


def make_order(
    session: Session,
    run: Run,
    checkpoint_seconds: float,
    allowance: float = math.inf,
    devices: str | None = None,
) -> Order:
    """The order for a run of a session, with absolute paths."""
    suite = session.store.root / "suites" / f"{session.plan.loaded.suite.hash}.yaml"
    cache = str(session.cache.folder.resolve())
    return Order(run.id, str(suite.resolve()), cache, checkpoint_seconds, os.getpid(), allowance, devices)


def parent_and_allowance() -> tuple[int | None, float]:
    """The pid of this process's parent and its allowance, as set by the driver. (None, inf) without a driver."""
    allowance = number_of(ALLOWANCE_VARIABLE)
    return whole_number_of(PARENT_VARIABLE, 1), math.inf if allowance is None else allowance


class ServerLostError(Exception):
    """The fork server of a process is gone, and nobody knows how the process ends."""


class Started(Protocol):
    """A process of a run."""

    @property
    def end(self) -> int | None:
        """A file that can be read once it has ended. None where only `wait` says so."""

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, or minus a signal. Raises `subprocess.TimeoutExpired` as `Popen.wait`, and `ServerLostError`."""


class CommandProcess(subprocess.Popen[bytes]):
    end: None = None


def start_command(order: Order, output: BinaryIO) -> Started:
    """Start a run as a command of its own; output: takes all that it prints."""
    return CommandProcess(
        harness_command(*order.arguments()),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=harness_environment() | order.variables(os.getpid()),
    )


class RunProcess:
    """The child process of one run. Its output goes to the run's log. start: starts it, with its output in a file."""

    def __init__(self, order: Order, start: Callable[[Order, BinaryIO], Started] = start_command) -> None:
        self.order = order
        self._log = order.folder.log
        self._outcome: Outcome | None = None
        self._start(start)

    def _start(self, start: Callable[[Order, BinaryIO], Started]) -> None:
        self._memory_kills = count_memory_kills()
        try:
            with self._log.open("ab") as output:
                self._log_start = output.tell()
                self._child = start(self.order, output)
        except OSError as error:
            message = f"cannot write {self._log}: {error.strerror}"
            self._outcome = Outcome(self.order.run, "refused", message, DiskError.exit_code)

    @property
    def end(self) -> int | None:
        return self._child.end if self._outcome is None else None

    def wait(self, seconds: float | None = None) -> Outcome | None:
        """How it ended. None if it still runs after so many seconds."""
        if self._outcome is None:
            try:
                code = self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                return None
            except ServerLostError:
                # the child loses its parent too and leaves with a checkpoint; this waits for its lease, then goes on
                self._start(start_command)
                return self.wait(seconds)
            message = "" if code == 0 else last_message(self._log, self._log_start, code)
            if abs(code) in (signal.SIGKILL, 128 + signal.SIGKILL) and count_memory_kills() > self._memory_kills:
                message = NO_MEMORY
            self._outcome = Outcome(self.order.run, status_of(code), message, abs(code))
            if self._outcome.status == "killed":
                self._free_lease()
        return self._outcome

    def _free_lease(self) -> None:
        """Remove the lease of a dead child: for two minutes, another node would take the child for alive."""
        lease = self.order.folder.lease
        with suppress(LeaseHeldError, HarnessError):
            lease.claim()
            lease.release()


def run_process(order: Order) -> Outcome:
    outcome = RunProcess(order).wait()
    assert outcome is not None, "without a time limit a wait ends with the process"
    return outcome


class Child(Protocol):
    """A run that was started: in a process of this host, or by Ray."""

    @property
    def end(self) -> int | None:
        """As of `Started`."""

    def wait(self, seconds: float) -> Outcome | None:
        """How it ended. None if it still runs after so many seconds."""


class RestartingRun:
    """A run that is started again from its checkpoint when it is killed, up to `MAX_STARTS` times, not after a stop."""

    def __init__(self, order: Order, stop: StopFlag, start: Callable[[Order], Child] = RunProcess) -> None:
        self.order = order
        self._stop = stop
        self._start = start
        self._starts = 1
        self._child = start(order)

    @property
    def end(self) -> int | None:
        return self._child.end

    def wait(self, seconds: float) -> Outcome | None:
        """How it ended. None if it still runs after so many seconds, or was started again."""
        outcome = self._child.wait(seconds)
        if outcome is None or outcome.status != "killed" or self._starts >= MAX_STARTS or self._stop.is_set():
            return outcome
        self._starts += 1
        self._child = self._start(self.order)
        return None


def status_of(code: int) -> Status:
    """The meaning of the child's exit code. A negative one is a signal."""
    if code < 0 or code > 128:
        return "killed"
    known: dict[int, Status] = {
        0: "ok",
        RunFailedError.exit_code: "failed",
        InterruptedRunError.exit_code: "interrupted",
        BUSY: "busy",
    }
    return known.get(code, "refused")


def last_message(log: Path, log_start: int, code: int) -> str:
    """The last line of the log after its first `log_start` bytes. On a full disk the child cannot print any."""
    lines = log.read_bytes()[log_start:].decode("utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if code == DiskError.exit_code and not last.startswith("error: "):
        return f"cannot write {log.parent}. Free space, then run the same command again: it goes on from the records."
    return last.removeprefix("error: ")


def stop_on_this_host(folders: Sequence[str], driver: int, job: str | None, number: int = signal.SIGTERM) -> int:
    """Signal the processes of this host that train these runs for a driver: they write a checkpoint and end.

    driver: pid of the driver that started them; job: its Slurm job, since pids alone may be equal on two hosts.
    """
    signalled = 0
    for folder in folders:
        lease = RunFolder(Path(folder)).lease
        with suppress(RecordError, DiskError, ProcessLookupError):
            holder = lease.holder()
            if holder and (holder.driver, holder.job, holder.state) == (driver, job, "alive"):
                os.kill(holder.pid, number)
                signalled += 1
    return signalled
