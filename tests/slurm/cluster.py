"""A real Slurm of our own: controller, accounting, two nodes with two GPUs each that are tokens, and how to use it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import LIMIT_SECONDS, require, wait_until

SCRIPT = Path(__file__).with_name("minislurm.sh")
COMMANDS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "sbatch", "sacct")
STATES_THAT_END = frozenset(
    {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL"}
)


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Partitions: main, and low that high preempts.

    folder:     its state, logs below log/.
    nodes:      their names; 4 cpus, 64,000 MB and 2 GPUs each, none of it real.
    namespaces: each node has its own network, processes, host name and /dev/shm, all share the disk. Without root
                they are two daemons on one host.
    """

    folder: Path
    namespaces: bool
    nodes: tuple[str, ...] = ("node1", "node2")

    @property
    def conf(self) -> Path:
        return self.folder / "etc" / "slurm.conf"

    def run(self, *command: str | Path, seconds: float = LIMIT_SECONDS) -> str:
        done = subprocess.run(
            list(map(str, command)),
            env=os.environ | {"SLURM_CONF": str(self.conf)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def state(self, job: str) -> str:
        return self.run("squeue", "-h", "-t", "all", "-j", job, "-o", "%T").strip()

    def wait_for_state(self, job: str, *states: str) -> str:
        wanted = frozenset(states) or STATES_THAT_END
        wait_until(
            lambda: self.state(job) in wanted, lambda: f"job {job} is {self.state(job)}, not one of {sorted(wanted)}"
        )
        return self.state(job)

    def clear(self):
        if self.run("squeue", "-h").strip():
            self.run("scancel", "--user", str(os.geteuid()))
        wait_until(lambda: not self.run("squeue", "-h").strip(), "the queue is empty")


def minislurm(*arguments: str | Path, namespaces: bool = False):
    # daemons inherit the script's output and would keep a pipe open for ever
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            ["bash", str(SCRIPT), *map(str, arguments)],
            env=os.environ | {"MS_NETNS": str(int(namespaces))},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        said.seek(0)
        assert done.returncode == 0, f"minislurm {' '.join(map(str, arguments))}: {done.returncode}\n{said.read()}"


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    missing = [name for name in COMMANDS if _found(name) is None]
    require("slurm", not missing, f"not installed: {', '.join(missing)}")
    cluster = Cluster(folder.resolve(), namespaces=_may_make_namespaces())
    try:
        minislurm("up", cluster.folder, namespaces=cluster.namespaces)
        yield cluster
    finally:
        minislurm("clean", cluster.folder)


def _may_make_namespaces() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    command = ["unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _found(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
