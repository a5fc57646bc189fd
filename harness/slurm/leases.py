"""Leases of jobs that Slurm has ended: taken over at once, without waiting for their silence."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from harness.slurm.queue import running_jobs
from harness.spec.errors import HarnessError
from harness.store import UnitFolder
from harness.store.lease import Owner


def free_leases(folders: Iterable[UnitFolder]) -> list[Owner]:
    """Remove the leases that ended jobs left on other hosts; whose they were. At most one call of squeue.

    This job's own id on another host is an earlier attempt of it, which ended before this one began. Where Slurm does
    not answer nothing is removed: silence frees those leases later.
    """
    held = [(folder, owner) for folder in folders if (owner := folder.lease.holder()) is not None]
    foreign = [(folder, owner) for folder, owner in held if owner.job and owner.host != socket.gethostname()]
    own = os.environ.get("SLURM_JOB_ID")
    try:
        alive = running_jobs([owner.job for _, owner in foreign if owner.job and owner.job != own])
    except HarnessError:
        alive = frozenset(owner.job for _, owner in foreign if owner.job and owner.job != own)
    return [owner for folder, owner in foreign if owner.job not in alive and folder.lease.remove_of(owner)]
