"""Leases of ended jobs, which are freed at once instead of after a silence."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable

from harness.api.errors import HarnessError
from harness.records.lease import Owner, current_cluster, current_job
from harness.records.run_folder import RunFolder
from harness.slurm.client import ask
from harness.slurm.queue import ask_running_jobs

NAME = re.compile(r"^ClusterName\s*=\s*(\S+)", re.MULTILINE)


def free_leases(folders: Iterable[RunFolder]) -> list[Owner]:
    """Remove the leases that ended jobs left on other hosts, and return their owners.

    It calls scontrol and squeue at most once each. It frees leases of this user's jobs on this cluster alone, because
    squeue may hide jobs of others and does not know other clusters. The other leases expire after a silence. (A lease
    itself recognises that an earlier start of the same job is over.)
    """
    held = [(folder, owner) for folder in folders if (owner := folder.lease.holder()) is not None]
    foreign = [(folder, owner) for folder, owner in held if _elsewhere(owner) and _ours(folder)]
    if not foreign:
        return []
    try:
        cluster = find_cluster_name()
        foreign = [(folder, owner) for folder, owner in foreign if owner.cluster == cluster is not None]
        alive = ask_running_jobs([str(owner.job) for _, owner in foreign])
    except HarnessError:
        return []
    return [owner for folder, owner in foreign if owner.job not in alive and folder.lease.remove_of(owner)]


def find_cluster_name() -> str | None:
    """Return the name of the cluster; None if Slurm does not say. Raises what `ask` raises."""
    if (inside := current_cluster()) is not None:
        return inside
    match = NAME.search(ask("scontrol", "show", "config"))
    return match[1] if match else None


def _ours(folder: RunFolder) -> bool:
    """Whether this user wrote the lease."""
    try:
        return folder.lease.path.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return False


def _elsewhere(owner: Owner) -> bool:
    """Whether another job holds it on another host; on this host the process id decides."""
    return owner.job not in (None, current_job()) and owner.host != socket.gethostname()
