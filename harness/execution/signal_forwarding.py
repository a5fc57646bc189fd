"""Passes a stop on to the units that a driver has started, on whatever node they run."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.execution.session import Session
from harness.records.lease import current_job
from harness.records.run_folder import UnitFolder
from harness.records.schema import Unit

AGAIN_SECONDS = 5.0
"""Other nodes are told this often: a unit that has just begun may not hold its lease yet."""


def stop_here(folders: Sequence[str], driver: int, job: str | None) -> int:
    """SIGTERM to the living processes of this host that hold these units for a driver: they checkpoint and leave.

    job: the driver's Slurm job, since equal pids of two hosts say little. How many were told.
    """
    told = 0
    for folder in folders:
        lease = UnitFolder(Path(folder)).lease
        holder = lease.holder()
        if holder is None or (holder.host, holder.driver, holder.job) != (socket.gethostname(), driver, job):
            continue
        if lease.held():
            try:
                os.kill(holder.pid, signal.SIGTERM)
            except ProcessLookupError:
                continue
            told += 1
    return told


class StopForwarder:
    """Tells the units of this host by signal, and those of other nodes by a task of Ray's on each of them.

    A task looks at the leases where they were written: a file that another node made can stay unseen for a minute on
    a network disk.
    """

    def __init__(self, session: Session, ray: Any) -> None:  # noqa: ANN401 - ray is untyped
        self._session = session
        self._ray = ray
        self._tell_others_at = 0.0

    def __call__(self, units: Sequence[Unit]) -> None:
        """Ask these units to stop; to be called until they have."""
        told = [str(self._session.folder(unit).path.resolve()) for unit in units], os.getpid(), current_job()
        stop_here(*told)
        if units and time.monotonic() >= self._tell_others_at:
            self._tell_others_at = time.monotonic() + AGAIN_SECONDS
            for node in self._other_nodes():
                self._task(node).remote(*told)

    def _other_nodes(self) -> list[str]:
        here = self._ray.get_runtime_context().get_node_id()
        return [node["NodeID"] for node in self._ray.nodes() if node["Alive"] and node["NodeID"] != here]

    def _task(self, node: str) -> Any:  # noqa: ANN401
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        return self._ray.remote(num_cpus=0, scheduling_strategy=there, max_retries=0)(stop_here)
