"""One attempt at a run: where its seconds go, written to the ledger as it goes, and how it ends."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Literal

import torch

from harness.api.errors import ClosedSplitError, DataError, DiskError, HarnessError, MachineError
from harness.api.strict import now
from harness.records.files import disk_errors, write_text
from harness.records.lease import Lease, LeaseLostError
from harness.records.ledger import LedgerLine, ProcessInfo, wall_by_phase
from harness.records.run_folder import RunFolder
from harness.records.schema import Environment, Failure, Result
from harness.suite.blame import blame, packages_of
from harness.suite.registry import load_method
from harness.train.clock import Phases
from harness.train.environment import peak_memory_bytes
from harness.train.history import NonFiniteLossError
from harness.train.meter import Meter
from harness.train.stop import Heartbeat, StopFlag

BROKEN_DEVICE = (
    *("uncorrectable ecc error", "busy or unavailable", "no cuda-capable device", "gpu is lost", "fallen off the bus"),
    *("driver initialization failed", "uncorrectable nvlink error"),
)
"""Parts of CUDA's messages, in lower case, that speak of the machine and of no method."""

Kind = Literal["begin", "start", "heartbeat", "checkpoint", "end", "violation"]


class Attempt:
    """A context around all that an attempt does, by whoever holds the run's lease.

    Inside it a thread says every few seconds that the run lives and what it has spent. An error that is the method's
    or the data's becomes the run's failed `result`; one that the user must act on is written to the ledger and raised.
    Who lost the lease writes nothing at all, whatever went wrong: it ends with a `LeaseLostError`.
    """

    def __init__(
        self,
        folder: RunFolder,
        lease: Lease,
        environment: Environment,
        device: torch.device,
        stop: StopFlag,
        parent: int | None = None,
    ) -> None:
        self.folder = folder
        self.device = device
        self.phases = Phases()
        self.environment = folder.write_environment(environment)
        self.result: Result | None = None
        self.shown = environment.shown
        self._number = max((line.attempt for line in folder.ledger.lines()), default=-1) + 1
        self._meter: Meter | None = None
        self._base_seconds = 0.0
        self._base_steps = 0
        self._violated = False
        self._lease = lease
        self.heartbeat = Heartbeat(self._beat, stop, parent)
        self._inside = ExitStack()

    def __enter__(self) -> Attempt:
        self._inside.enter_context(disk_errors(self.folder.path))
        self._inside.enter_context(self.heartbeat)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            self._inside.__exit__(kind, error, trace)  # ends the heartbeat; a full disk becomes a DiskError
        except HarnessError as disk_error:
            self._write_end(disk_error)
            raise
        if error is None or isinstance(error, LeaseLostError):
            return False
        self._lease.check()  # without the lease, missing files and the like are no failure of the method
        failure_kind = kind_of(error)
        if failure_kind is None:
            self._write_end(error)
            return False
        if isinstance(error, ClosedSplitError) and not self._violated:
            self.record_violation(str(error))
        self.result = self._failed(failure_kind, error)
        return True

    def start(self, meter: Meter) -> None:
        """Take the meter's seconds and steps as what earlier attempts have spent."""
        self._base_seconds = meter.seconds
        self._base_steps = meter.steps
        self._meter = meter  # last: the heartbeat may write at any moment
        self.write("start", f"commit {self.shown['commit']}")

    def check(self) -> None:
        """Raise what went wrong in the heartbeat, and first of all that the lease was lost. Before each write."""
        self._lease.check()
        self.heartbeat.check()

    def record_violation(self, why: str) -> None:
        """Write to the ledger that test cases were requested before the weights were final."""
        self._violated = True
        self.write("violation", why)

    def write(self, kind: Kind, note: str | None = None, process: ProcessInfo | None = None) -> None:
        """Append what was spent up to now. Called from the heartbeat thread too. Raises as `Lease.check`."""
        self._lease.check()
        meter = self._meter
        self.folder.ledger.append(
            LedgerLine(
                kind=kind,
                attempt=self._number,
                at=now(),
                environment=self.environment,
                base_device_seconds=self._base_seconds,
                base_steps=self._base_steps,
                device_seconds=max(0.0, meter.seconds - self._base_seconds) if meter else 0.0,
                steps=max(0, meter.steps - self._base_steps) if meter else 0,
                wall_seconds={phase: round(seconds, 6) for phase, seconds in self.phases.seconds().items()},
                process=process,
                note=None if note is None else printable(note),
            )
        )

    def _beat(self) -> None:
        self._lease.beat()
        self.write("heartbeat")

    def _write_end(self, error: BaseException) -> None:
        if isinstance(error, HarnessError):
            with suppress(DiskError):  # on a full disk the first message is the one to show
                self.write("end", f"{type(error).__name__}: {error}")

    def _failed(self, kind: str, error: BaseException) -> Result:
        write_text(self.folder.path / "error.txt", printable("".join(traceback.format_exception(error))))
        self.write("end", f"failed: {kind}")
        packages = packages_of(load_method(self.folder.run.method)) if kind != "data" else ()
        reason = printable(blame(error, packages))
        return Result(
            run=self.folder.id,
            status="failed",
            failure=Failure.model_validate({"kind": kind, "reason": reason}),
            environment=self.environment,
            spent=self.folder.ledger.spent(),
            wall_seconds=wall_by_phase(self.folder.ledger.lines()),
            peak_memory_bytes=peak_memory_bytes(self.device),
            shown=self.shown,
            finished_at=now(),
        )


def kind_of(error: BaseException) -> str | None:
    """Kind of the failure that an error makes of a run; None where the user must act, and for an interrupt."""
    if isinstance(error, HarnessError):
        return "data" if isinstance(error, DataError) else None
    if device_broke(error):
        return None
    if isinstance(error, NonFiniteLossError):
        return "nan"
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        return "oom"
    # whatever else a method raises becomes a row of the table
    return "error" if isinstance(error, (Exception, SystemExit)) else None


def device_broke(error: BaseException) -> bool:
    """Whether CUDA says that the device itself does not work."""
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in BROKEN_DEVICE)


@contextmanager
def device_faults() -> Iterator[None]:
    """Turn what a broken device raises into a `MachineError`."""
    try:
        yield
    except RuntimeError as error:
        if not device_broke(error):
            raise
        said = str(error).splitlines()[0]
        raise MachineError(f"the GPU of {socket.gethostname()} does not work: {said}; use another machine") from error


def printable(text: str) -> str:
    """Text that a record can hold: a file name within a message may be no unicode."""
    return text.encode("utf-8", "backslashreplace").decode()
