"""Who holds a lease: a process, its machine and boot, and whether it lives as far as this process can see."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.api.strict import Strict
from harness.records.variables import whole_number_of

DRIVER_VARIABLE = "HARNESS_DRIVER"


class Owner(Strict):
    """A process. Its start time distinguishes it from a later one with the same pid."""

    host: str = Field(max_length=255)
    pid: int = Field(ge=1, lt=2**31, description="as processes of its namespace see it")
    start_ticks: int = Field(ge=0, description="since the boot of its machine")
    driver: int | None = Field(None, ge=1, lt=2**31, description="pid of the `harness run` that started it")
    job: str | None = Field(None, description="Slurm's id of the job it runs in; None outside of Slurm")
    restarts: int | None = Field(None, description="times that Slurm had requeued that job by then")
    cluster: str | None = Field(None, description="name of the cluster that gave the job its id")
    boot: str | None = Field(None, description="the kernel's name for its last boot; None where it has none")
    pid_namespace: str | None = Field(None, description="in which its pid counts; None where /proc shows another one")

    @classmethod
    def this(cls) -> Owner:
        job = current_job()
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            start_ticks=_own_start_ticks(),
            driver=whole_number_of(DRIVER_VARIABLE, 1),
            job=job,
            restarts=current_restarts() if job else None,
            cluster=current_cluster() if job else None,
            boot=_boot(),
            pid_namespace=_pid_namespace(),
        )

    def __str__(self) -> str:
        return "a process that has not written its name yet" if self == UNWRITTEN else f"pid {self.pid} on {self.host}"

    @property
    def visible(self) -> bool:
        """Whether its pid means the same process here, on this boot of this machine."""
        place = (self.host, self.boot, self.pid_namespace)
        return None not in place and place == (socket.gethostname(), _boot(), _pid_namespace())

    @property
    def state(self) -> Literal["alive", "dead", "unseen"]:
        """Whether it lives, as far as this process can see, whatever its heartbeat."""
        if self.job is not None and self.job == current_job() and (self.restarts or 0) < current_restarts():
            return "dead"  # Slurm ends a job on all its nodes before it starts it again
        if not self.visible:
            return "unseen"
        try:
            return "alive" if _start_ticks(self.pid) == self.start_ticks else "dead"
        except OSError:  # an administrator may hide processes of other users
            return "unseen" if _exists(self.pid) else "dead"


UNWRITTEN = Owner(host="", pid=2**31 - 1, start_ticks=0)
"""Whoever made a lease and has not written into it yet, or was killed just then."""


def current_job() -> str | None:
    return os.environ.get("SLURM_JOB_ID")


def current_cluster() -> str | None:
    return os.environ.get("SLURM_CLUSTER_NAME") or None


def current_restarts() -> int:
    return whole_number_of("SLURM_RESTART_COUNT") or 0


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _pid_namespace() -> str | None:
    """The namespace of this process's pid. None where /proc belongs to another, so that it cannot be asked for pids."""
    try:
        shown = Path("/proc/self").readlink().name == str(os.getpid())
        return Path("/proc/self/ns/pid").readlink().name if shown else None
    except OSError:
        return None


def _own_start_ticks() -> int:
    try:
        return _start_ticks(os.getpid()) or 0
    except OSError:
        return 0


def _start_ticks(pid: int) -> int | None:
    """Start time of a process from /proc, None of a zombie. Raises `OSError` where /proc does not show it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
