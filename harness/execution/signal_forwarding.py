"""Forwards a stop to the runs that a driver has started, on any node."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.records.lease import current_job
from harness.records.run_folder import RunFolder

REPEAT_SECONDS = 5.0
"""Seconds between two signals to other nodes: a run that has just begun may not have its lease yet."""


def stop_on_this_host(folders: Sequence[str], driver: int, job: str | None, number: int = signal.SIGTERM) -> int:
    """Signal the processes of this host that train these runs for a driver. They write a checkpoint and end.

    Args:
        folders: paths of the runs' folders.
        driver:  pid of the driver that started them.
        job:     the driver's Slurm job. Pids alone may be equal on two hosts.
        number:  the signal.

    Returns:
        How many processes were signalled.
    """
    signalled = 0
    for folder in folders:
        lease = RunFolder(Path(folder)).lease
        holder = lease.holder()
        if holder is None or (holder.host, holder.driver, holder.job) != (socket.gethostname(), driver, job):
            continue
        if lease.held():
            try:
                os.kill(holder.pid, number)
            except ProcessLookupError:
                continue
            signalled += 1
    return signalled


class StopForwarder:
    """Stops the runs of this host by signal, and those of other nodes by a Ray task on each node.

    Each task reads the leases on the node that wrote them: on a network disk, others may not see them for a minute.
    """

    def __init__(self, ray: Any) -> None:  # noqa: ANN401 - ray is untyped
        self._ray = ray
        self._next_repeat = 0.0

    def __call__(self, running: Sequence[RunFolder]) -> None:
        """Ask these runs to stop. To be called until all have stopped."""
        arguments = [str(folder.path.resolve()) for folder in running], os.getpid(), current_job()
        stop_on_this_host(*arguments)
        if not running or time.monotonic() < self._next_repeat:
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._next_repeat = time.monotonic() + REPEAT_SECONDS
        this_node = self._ray.get_runtime_context().get_node_id()
        for node in self._ray.nodes():
            if node["Alive"] and node["NodeID"] != this_node:
                on_node = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
                task = self._ray.remote(num_cpus=0, scheduling_strategy=on_node, max_retries=0)(stop_on_this_host)
                task.remote(*arguments)
