"""Runs that Ray starts on its nodes, each in a child process of one of its workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.execution.outcome import Outcome
from harness.execution.process import Child, Order, run_process
from harness.execution.process_pool import ProcessPool
from harness.execution.ray_cluster import Cluster
from harness.execution.signal_forwarding import StopForwarder
from harness.records.run_folder import RunFolder
from harness.train.stop import StopFlag

SIGNAL_SECONDS = 2.0
"""The death of a worker may be known before the signal that ended it reaches the driver."""


@dataclass
class RayTask:
    """A run that Ray has placed on one of its nodes. reference: to the outcome that the task returns."""

    ray: Any
    reference: Any
    run: str
    stop: StopFlag

    def wait(self, seconds: float) -> Outcome | None:
        """The outcome that the worker returned. A run whose worker died counts as killed."""
        finished, _ = self.ray.wait([self.reference], timeout=seconds)
        if not finished:
            return None
        try:
            outcome: Outcome = self.ray.get(self.reference)
        except self.ray.exceptions.RayError as error:
            self.stop.wait(SIGNAL_SECONDS)
            return Outcome(self.run, "killed", str(error).splitlines()[0])
        return outcome


@dataclass
class RayPool(ProcessPool):
    """A pool whose processes run on the nodes of a Ray, which gives each its CUDA_VISIBLE_DEVICES."""

    cluster: Cluster

    def __post_init__(self) -> None:
        """Tell Ray what a task needs."""
        remote = self.cluster.ray.remote(num_cpus=1, num_gpus=self.cluster.run_gpus, max_retries=0)
        self._task = remote(run_process)
        self._forward = StopForwarder(self.cluster.ray)
        self.stop.install()  # Ray puts its own SIGTERM handler in the driver's place

    def start(self, order: Order) -> Child:
        """Give a run to Ray."""
        return RayTask(self.cluster.ray, self._task.remote(order), order.run, self.stop)

    def forward_stop(self, running: Sequence[RunFolder]) -> None:
        """Ask the runs of all nodes for a checkpoint and their end."""
        self._forward(running)
