"""Runs side by side, each in a child process of this host with one device or core of its own."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing.connection import wait

from harness.execution.outcome import Outcome, settle
from harness.execution.process import Child, Order, RestartingRun, RunProcess, make_order, stop_on_this_host
from harness.execution.session import Session
from harness.records.owner import current_job
from harness.records.run_folder import RunFolder
from harness.records.schema import Run
from harness.train.stop import StopFlag

POLL_SECONDS = 0.1
"""Between two looks at the stop flag, and at runs that do not say by themselves that they ended."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
DEVICE = re.compile(r"\d+|(GPU|MIG)-\S+")
"""A number or UUID. CUDA sees nothing from the first other word on: NoDevFiles, -1, void."""


@dataclass
class ProcessPool:
    """Child processes that train runs side by side. A run whose process is killed is started once more.

    devices:   one entry for each run at a time: the CUDA devices that it sees. None leaves them as they are.
    stop:      once set, the pool starts no more runs and asks those that run for a checkpoint.
    tick:      called with the runs that run now, several times a second.
    start:     starts the process of an order.
    elsewhere: as of `settle`.
    """

    session: Session
    devices: Sequence[str | None]
    checkpoint_seconds: float
    stop: StopFlag
    tick: Callable[[list[Run]], None]
    start: Callable[[Order], Child] = RunProcess
    elsewhere: bool = False

    def run(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        """Yield the outcome of each run as it ends. Ends early when asked to stop, once all processes have left."""
        by_id = {run.id: run for run in runs}
        waiting, free = deque(runs), deque(self.devices)
        running: list[RestartingRun] = []
        while running or (waiting and not self.stop.is_set()):
            while waiting and free and not self.stop.is_set():
                run, devices = waiting.popleft(), free.popleft()
                order = make_order(self.session, run, self.checkpoint_seconds, devices=devices)
                running.append(RestartingRun(order, self.stop, self.start))
            if self.stop.is_set():
                self.forward_stop([process.order.folder for process in running])
            wait([process.end for process in running if process.end is not None], POLL_SECONDS)
            for process in list(running):
                outcome = process.wait(0)
                if outcome is not None:
                    running.remove(process)
                    free.append(process.order.devices)
                    yield settle(process.order.folder, outcome, self.stop, elsewhere=self.elsewhere)
            self.tick([by_id[process.order.run] for process in running])

    def forward_stop(self, running: Sequence[RunFolder]) -> None:
        """Ask runs for a checkpoint and their end. Called at each poll until all have left."""
        stop_on_this_host([str(folder.path) for folder in running], os.getpid(), current_job())


def pool_devices(size: int) -> list[str | None]:
    """What each of `size` runs at a time may see of the GPUs: one each, no more runs than GPUs; None without GPUs."""
    named = (name.strip() for name in os.environ.get(VISIBLE, "").split(","))
    visible = list(takewhile(DEVICE.fullmatch, named))
    if VISIBLE not in os.environ:
        visible = [str(index) for index in range(visible_gpus())]
    return list(visible[:size]) if visible else [None] * size


def default_workers() -> int:
    """Runs at a time: one for each CUDA device, or for each core that this process may use."""
    return visible_gpus() or len(os.sched_getaffinity(0))


def visible_gpus() -> int:
    import torch

    return torch.cuda.device_count()
