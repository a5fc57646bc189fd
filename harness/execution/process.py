"""Runs one unit in a process of its own: clean threads, signals by pid, a death that harms nobody else."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import harness
from harness.api.errors import DiskError
from harness.execution.outcome import Outcome
from harness.records.lease import DRIVER_VARIABLE, LeaseHeldError
from harness.records.run_folder import UnitFolder
from harness.records.suite_folder import RunStore

HELD = 73
"""Exit code of the `unit` verb when another process runs the unit."""


@dataclass(frozen=True)
class Order:
    """What a child process is told; plain values, so that it travels to another node.

    devices: what CUDA_VISIBLE_DEVICES is for it; None leaves that as it is.
    """

    unit: str
    suite: str
    cache: str
    runs: str
    log: str
    checkpoint_seconds: float
    driver: int
    allowance: float = math.inf
    devices: str | None = None

    @property
    def folder(self) -> UnitFolder:
        """The unit's records."""
        return RunStore(Path(self.suite).parent.parent).by_id(self.unit)

    def command(self) -> list[str]:
        """The same verb that a user would type."""
        return [
            # -P: a folder called methods/ in the current directory must not stand before ours
            *(sys.executable, "-P", "-m", "harness", "unit", self.unit),
            *("--suite", self.suite, "--data", self.cache, "--runs", self.runs),
            *("--checkpoint-seconds", str(self.checkpoint_seconds), "--parent", str(os.getpid())),
            *(() if math.isinf(self.allowance) else ("--allowance", repr(self.allowance))),
        ]


class UnitProcess:
    """A unit's child process. What it prints goes to the unit's log. Raises `OSError` where that cannot be written."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._log = Path(order.log)
        with self._log.open("ab") as output:
            self._said_before = output.tell()
            self._child = subprocess.Popen(
                order.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment(order.driver, order.devices),
            )

    def wait(self, seconds: float | None = None) -> Outcome | None:
        """How it ended, None if it has not after so many seconds."""
        try:
            code = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        said = "" if code == 0 else complaint(self._log, self._said_before, code)
        outcome = Outcome(self.order.unit, status_of(code), said, abs(code))
        if outcome.status == "killed":
            self._free()
        return outcome

    def _free(self) -> None:
        """Remove the lease that a dead child has left: on another node it would seem alive for two minutes."""
        lease = self.order.folder.lease
        with suppress(LeaseHeldError, DiskError):
            lease.claim()
            lease.release()

    def signal(self, number: int) -> None:
        """Send it a signal; one that has ended gets none."""
        self._child.send_signal(number)


def unwritable(order: Order, error: OSError) -> Outcome:
    """The outcome of a unit whose log cannot be written."""
    return Outcome(order.unit, "refused", f"cannot write {order.log}: {error.strerror}", DiskError.exit_code)


def run_process(order: Order) -> Outcome:
    """Start the child, wait for it, and say how it ended."""
    try:
        outcome = UnitProcess(order).wait()
    except OSError as error:
        return unwritable(order, error)
    assert outcome is not None, "without a time limit a wait ends with the process"
    return outcome


def child_environment(driver: int, devices: str | None = None) -> dict[str, str]:
    """This process's, with the folder of this harness first on the path and the driver's pid for the lease.

    devices: the CUDA devices that the child sees; None: those that this process sees.
    """
    root = str(Path(harness.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    own = {} if devices is None else {"CUDA_VISIBLE_DEVICES": devices}
    return os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": path, DRIVER_VARIABLE: str(driver)} | own


def status_of(code: int) -> Literal["ok", "failed", "interrupted", "held", "refused", "killed"]:
    """The meaning of the child's exit code; a negative one is a signal."""
    known: dict[int, Literal["ok", "failed", "interrupted", "held"]]
    known = {0: "ok", 70: "failed", 75: "interrupted", HELD: "held"}
    if code < 0 or code > 128:
        return "killed"
    return known.get(code, "refused")


def complaint(log: Path, said_before: int, code: int) -> str:
    """The last line that the child printed, after so many bytes of the log; on a full disk it cannot print any."""
    lines = log.read_bytes()[said_before:].decode("utf-8", errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if code == DiskError.exit_code and not last.startswith("error: "):
        return f"cannot write {log.parent}. Free space, then run the same command again: it goes on from the records."
    return last.removeprefix("error: ")
