"""Runs that Ray starts on its nodes, each in a child process of one of its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.execution.outcome import Outcome
from harness.execution.process import Child, Order, run_process
from harness.execution.process_pool import ProcessPool
from harness.execution.ray_cluster import Cluster
from harness.execution.session import Session
from harness.execution.signal_forwarding import StopForwarder
from harness.records.run_folder import UnitFolder
from harness.records.schema import Unit
from harness.train.stop import StopFlag

RUMOUR_SECONDS = 2.0
"""That a worker died may be known before the signal that ended it arrives at the driver."""


class RayTask:
    """A run that Ray has placed on one of its nodes."""

    def __init__(self, ray: Any, reference: Any, order: Order, stop: StopFlag) -> None:  # noqa: ANN401 - ray is untyped
        self._ray = ray
        self._reference = reference
        self._order = order
        self._stop = stop

    def wait(self, seconds: float) -> Outcome | None:
        """The outcome that the worker returned. A run whose worker died counts as killed."""
        finished, _ = self._ray.wait([self._reference], timeout=seconds)
        if not finished:
            return None
        try:
            outcome: Outcome = self._ray.get(self._reference)
        except self._ray.exceptions.RayError as error:
            self._stop.wait(RUMOUR_SECONDS)
            return Outcome(self._order.unit, "killed", str(error).splitlines()[0])
        return outcome


class RayPool(ProcessPool):
    """A pool whose processes run on the nodes of a Ray."""

    def __init__(
        self,
        session: Session,
        cluster: Cluster,
        checkpoint_seconds: float,
        stop: StopFlag,
        tick: Callable[[list[Unit]], None],
    ) -> None:
        # Ray gives each worker its own CUDA_VISIBLE_DEVICES
        super().__init__(session, [None] * cluster.workers, checkpoint_seconds, stop, tick)
        self._ray = cluster.ray
        self._task = cluster.ray.remote(num_cpus=1, num_gpus=cluster.unit_gpus, max_retries=0)(run_process)
        self._forward = StopForwarder(cluster.ray)

    def run(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        """Yield the outcome of each run as it ends."""
        self._stop.install()  # Ray puts its own SIGTERM handler in the driver's place
        return super().run(units)

    def start(self, order: Order) -> Child:
        """Give a run to Ray."""
        return RayTask(self._ray, self._task.remote(order), order, self._stop)

    def forward_stop(self, running: Sequence[UnitFolder]) -> None:
        """Ask the runs of all nodes for a checkpoint and their end."""
        self._forward(running)
