"""Leases of jobs that Slurm has ended: taken over at once, without waiting for their silence."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from harness.slurm.queue import running_jobs
from harness.spec.errors import HarnessError
from harness.store import UnitFolder
from harness.store.lease import Owner, current_job


def free_leases(folders: Iterable[UnitFolder]) -> list[Owner]:
    """Remove the leases that ended jobs left on other hosts; whose they were. At most one call of squeue.

    Where Slurm does not answer nothing is removed: silence frees those leases later. (A lease knows by itself that an
    earlier run of the same job is over.)
    """
    held = [(folder, owner) for folder in folders if (owner := folder.lease.holder()) is not None]
    foreign = [(folder, owner) for folder, owner in held if _elsewhere(owner)]
    try:
        alive = running_jobs([str(owner.job) for _, owner in foreign])
    except HarnessError:
        return []
    return [owner for folder, owner in foreign if owner.job not in alive and folder.lease.remove_of(owner)]


def _elsewhere(owner: Owner) -> bool:
    """Whether another job of Slurm's holds it on another host; on this one its process tells."""
    return owner.job not in (None, current_job()) and owner.host != socket.gethostname()
