"""A Ray to train runs on, our own on this machine or that of a batch job on its nodes, and the runs that it starts."""

import logging
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.api.errors import ServiceError, UsageError
from harness.execution.memory import NO_MEMORY, count_memory_kills
from harness.execution.outcome import Outcome
from harness.execution.process import Child, Order, run_process, stop_on_this_host
from harness.execution.process_pool import ProcessPool, default_workers, visible_gpus
from harness.records.owner import current_job
from harness.records.run_folder import RunFolder
from harness.records.temporary import temporary_folder
from harness.records.variables import path_of
from harness.train.stop import SIGNALS, StopFlag

ADDRESS = re.compile(r"[^\s/]+:\d+")
OBJECT_STORE_BYTES = 100_000_000
LONGEST_FOLDER = 40
"""Ray puts up to 67 characters behind its temporary folder, and AF_UNIX paths end at 107 bytes."""
SIGNAL_SECONDS = 2.0
"""The death of a worker may be known before the signal that ended it reaches the driver."""
REPEAT_SECONDS = 5.0
"""Seconds between two signals to other nodes: a run that has just begun may not have its lease yet."""


@dataclass(frozen=True)
class Cluster:
    """A Ray that is up.

    ray:       the module, connected.
    workers:   runs at a time.
    run_gpus:  Ray's GPUs for each run: 1 where it has any. Where they are only tokens without a device, they still
               limit the runs of a node.
    """

    ray: Any
    workers: int
    run_gpus: int


@contextmanager
def ray_cluster(address: str | None, workers: int | None, most: int) -> Iterator[Cluster]:
    """Join a Ray, or bring up one of our own on this machine.

    address: HOST:PORT or a file that announces it; workers: runs at a time, None takes the GPUs, or the cores without
    them; most: upper limit of both.
    """
    if address is None:
        workers = min(workers or default_workers(), most)
        with local_ray(workers) as ray:
            yield Cluster(ray, workers, min(1, visible_gpus()))
        return
    with joined_ray(address) as ray:
        resources = ray.cluster_resources()
        cpus, gpus = (int(resources.get(name, 0)) for name in ("CPU", "GPU"))
        if not cpus:  # each run takes one, and would wait for ever
            raise ServiceError(f"the Ray at {address} has no CPU to run on; start it with some, or wait for its nodes")
        yield Cluster(ray, min(workers or gpus or cpus, most), min(1, gpus))


def read_address(text: str) -> tuple[str, int, float]:
    """Address of a running Ray, number of its nodes, and how many seconds to wait for them.

    text: HOST:PORT, or a file that holds these three values, separated by spaces. Raises `UsageError` for anything
    else.
    """
    path = Path(text)
    try:
        if not path.exists() and ADDRESS.fullmatch(text):
            return text, 1, 0.0
        address, nodes, seconds = path.read_text(encoding="utf-8").split()
        return address, int(nodes), float(seconds)
    except (OSError, ValueError):
        expected = "HOST:PORT, nor a file with HOST:PORT, the number of nodes and how many seconds to wait for them"
        raise UsageError(f"--ray-address {text}: neither {expected}") from None


@contextmanager
def joined_ray(address: str) -> Iterator[Any]:
    """Join a Ray that another program starts and stops, see `read_address`, once all its nodes have joined."""
    where, nodes, seconds = read_address(address)
    ray = _import_ray()
    try:
        with _signals_held_back():
            ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise ServiceError(f"the Ray at {where} cannot be joined ({_first_line(error)})") from None
    try:
        _wait_for_nodes(ray, where, nodes, seconds)
        yield ray
    finally:
        ray.shutdown()


def _wait_for_nodes(ray: Any, where: str, nodes: int, seconds: float) -> None:  # noqa: ANN401 - ray is untyped
    until = time.monotonic() + seconds
    while len(joined := [node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]]) < nodes:
        if time.monotonic() > until:
            raise ServiceError(
                f"after {seconds:g} s {len(joined)} of {nodes} nodes are in the Ray at "
                f"{where}: {', '.join(sorted(joined))}; the others did not join"
            )
        time.sleep(0.2)


@contextmanager
def local_ray(workers: int) -> Iterator[Any]:
    """Our own Ray with explicit resources, a short temporary folder, and no dashboard. It stops at the end."""
    # our own token keeps other users of the machine out and the home directory unwritten. Ray reads it once per
    # process, so a second Ray of this process (finals after a search) must have the same one
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = _import_ray()
    with _short_folder() as folder:
        try:
            with _signals_held_back():
                ray.init(
                    address="local",
                    num_cpus=workers,
                    num_gpus=visible_gpus(),
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(folder),
                )
        except Exception as error:  # noqa: BLE001 - Ray raises bare ones, as on a machine where it starts too slowly
            raise ServiceError(
                f"a local Ray did not start, for which it has 30 s ({_first_line(error)}); try again on a "
                "less busy machine, or with --executor inline, which an adaptive search cannot use"
            ) from None
        try:
            yield ray
        finally:
            _shut_down(ray)


def _shut_down(ray: Any) -> None:  # noqa: ANN401 - ray is untyped
    """End our Ray. Its processes block the SIGTERM that each of them is first given a second to obey."""
    with suppress(AttributeError):  # no public name leads to them
        for infos in ray._private.worker._global_node.all_processes.values():
            for info in infos:
                info.process.terminate = info.process.kill
    ray.shutdown()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Block the signals that ask for a stop while Ray starts. Its processes inherit that and keep it.

    A signal to the whole process group then stops runs, and not the Ray under them, whose end a driver would wait for.
    Ray puts handlers of its own in the driver's place; a signal that came meanwhile finds the driver's.
    """
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _short_folder() -> Iterator[Path]:
    """A folder for Ray's sockets in RAY_TMPDIR or /tmp, but not in TMPDIR, whose path is often too long."""
    root = str(path_of("RAY_TMPDIR") or "/tmp")
    if len(root) > LONGEST_FOLDER - len("/h12345678/r"):
        raise ServiceError(f"RAY_TMPDIR={root} is too long: Ray's sockets allow {LONGEST_FOLDER - len('/h12345678')} "
                           "characters; name a shorter folder, or leave it out for /tmp")  # fmt: skip
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder("h", Path(root)))
        except OSError as error:
            raise ServiceError(f"RAY_TMPDIR={root} cannot be written ({error.strerror})") from None
        yield folder


def _import_ray() -> Any:  # noqa: ANN401 - ray is untyped
    os.environ.setdefault("RAY_DISABLE_USAGE_STATS", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # Ray's default of 15 would let any neighbour take the processor from runs whose time is measured
    os.environ.setdefault("RAY_worker_niceness", "0")
    # a signal to all processes of a job ends Ray at once; its runs need a moment longer, for their checkpoints
    os.environ.setdefault("RAY_kill_child_processes_on_worker_exit", "false")
    try:
        import ray
    except ImportError:
        raise ServiceError("ray is not installed; `pip install 'ray[tune]'`, or use --executor inline") from None
    return ray


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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


@dataclass
class RayTask:
    """A run that Ray has placed on one of its nodes. reference: to the outcome that the task returns."""

    ray: Any
    reference: Any
    run: str
    stop: StopFlag
    end: None = None
    memory_kills: int = field(default_factory=count_memory_kills)

    def wait(self, seconds: float) -> Outcome | None:
        """The outcome that the worker returned. A run whose worker died counts as killed."""
        finished, _ = self.ray.wait([self.reference], timeout=seconds)
        if not finished:
            return None
        try:
            outcome: Outcome = self.ray.get(self.reference)
        except self.ray.exceptions.RayError as error:
            self.stop.wait(SIGNAL_SECONDS)
            by_ray = isinstance(error, self.ray.exceptions.OutOfMemoryError)
            crowded = by_ray or count_memory_kills() > self.memory_kills
            return Outcome(self.run, "killed", NO_MEMORY if crowded else str(error).splitlines()[0])
        return outcome


@dataclass
class RayPool(ProcessPool):
    """A pool whose processes run on the nodes of a Ray, which gives each its CUDA_VISIBLE_DEVICES."""

    cluster: Cluster = field(kw_only=True)

    def __post_init__(self) -> None:
        self.start = self._give_to_ray
        remote = self.cluster.ray.remote(num_cpus=1, num_gpus=self.cluster.run_gpus, max_retries=0)
        self._task = remote(run_process)
        self._forward = StopForwarder(self.cluster.ray)

    def _give_to_ray(self, order: Order) -> Child:
        return RayTask(self.cluster.ray, self._task.remote(order), order.run, self.stop)

    def forward_stop(self, running: Sequence[RunFolder]) -> None:
        self._forward(running)
