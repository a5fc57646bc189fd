"""What interruptions cost on a real Slurm, and whether its accounts and the ledgers agree. Some ten minutes, as root.

    python -m tests.bench.slurm_faults [FAULT ...]

Each fault strikes one tiny run (steps with pauses: little CPU) in a run directory of its own; then the run goes on,
by Slurm's requeue or by the same sbatch, to its end. Its weights must be those of an undisturbed one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.records.accounts import Seconds
from tests.slurm.cluster import Cluster, running_cluster
from tests.slurm.runs import Jobs
from tests.support import REPO, wait_until
from tests.train.tiny import Tiny, install, write_suite

STEPS, PAUSE_SECONDS, STRUCK_AT = 400, 0.1, 60
PLANNED_RUN, OTHER = "tiny_staged/2/0/0", "tiny_staged/2/0/1"
SMALL_DISK = "size=12m"


@dataclass(frozen=True)
class Fault:
    """options: of sbatch. strike: hits the running job. again: the user submits the run once more."""

    name: str
    strike: Callable[[Jobs, str], None]
    options: tuple[str, ...] = ()
    planned_runs: tuple[str, ...] = (PLANNED_RUN,)
    again: bool = False


def nothing(jobs: Jobs, job: str) -> None:
    """The undisturbed run."""


def time_limit(jobs: Jobs, job: str) -> None:
    jobs.cluster.run("scontrol", "update", f"JobId={job}", "EndTime=now+5")
    jobs.cluster.wait_for_state(job)


def requeue(jobs: Jobs, job: str) -> None:
    jobs.cluster.run("scontrol", "requeue", job)


def preempt(jobs: Jobs, job: str) -> None:
    high = ("sbatch", "--parsable", "-p", "high", "-w", "node1", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 2")
    jobs.cluster.wait_for_state(jobs.cluster.run(*high).strip())


def kill_node(jobs: Jobs, job: str) -> None:
    jobs.cluster.kill_node("node1")
    jobs.cluster.wait_for_state(job, "PENDING")
    jobs.cluster.start_node("node1")


def cancel_task(jobs: Jobs, job: str) -> None:
    jobs.cluster.run("scancel", f"{job}_0")
    accounts = ("sacct", "-X", "-n", "-j", f"{job}_0", "-o", "State")
    wait_until(lambda: "CANCELLED" in jobs.cluster.run(*accounts), "the task is cancelled")


def fill_disk(jobs: Jobs, job: str) -> None:
    filler = jobs.tiny.runs / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
    except OSError:
        jobs.cluster.wait_for_state(job)
        filler.unlink()


LOW = ("-p", "low", "-w", "node1", "--exclusive")
FAULTS = (
    Fault("none", nothing),
    Fault("time limit", time_limit, again=True),
    Fault("requeue", requeue),
    Fault("preempted, no grace", preempt, LOW),
    Fault("preempted, 20 s grace", preempt, ("-p", "lowgrace", *LOW[2:])),
    Fault("node killed", kill_node, ("-w", "node1")),
    Fault("array task cancelled", cancel_task, planned_runs=(PLANNED_RUN, OTHER), again=True),
    Fault("full disk", fill_disk, again=True),
)


def main(names: list[str]) -> int:
    """Run the faults and print a row each; 1 if an equation does not hold or weights differ."""
    root = Path(tempfile.mkdtemp(prefix="harness-faults-"))
    install(root / "site")
    chosen = [fault for fault in FAULTS if not names or fault.name in names or fault.name == "none"]
    small = root / FAULTS[-1].name.replace(" ", "-") / "runs"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", small], check=True)  # before the nodes start
    try:
        with running_cluster(root / "slurm") as cluster:
            return run(cluster, root, chosen)
    finally:
        subprocess.run(["umount", small], check=False)


def run(cluster: Cluster, root: Path, faults: list[Fault]) -> int:
    columns = ("ended", "attempts", *Seconds.model_fields, "allocated", "tolerated", "lost device-s", "steps lost")
    print("fault", *columns, "verdict", sep=" | ", flush=True)
    reference, bad = "", 0
    for fault in faults:
        jobs = Jobs(cluster, tiny(root, fault))
        strike(jobs, fault)
        figures, right, weights = judge(jobs)
        reference = reference or weights
        right = right and weights == reference
        bad += not right
        print(fault.name, *figures, "holds" if right else "DOES NOT HOLD", sep=" | ", flush=True)
    return int(bad > 0)


def tiny(root: Path, fault: Fault) -> Tiny:
    """The suite in a folder of the fault's own."""
    folder = root / fault.name.replace(" ", "-").replace(",", "")
    params = {"tiny_staged": {"pause_seconds": PAUSE_SECONDS}}
    suite = write_suite(folder, params, budget={"steps": STEPS}, seeds=[0, 1])
    path = os.pathsep.join([str(root / "site"), str(REPO)])
    return Tiny(folder, suite, {"PYTHONPATH": path, "HARNESS_CACHE": str(root / "cache"), "OMP_NUM_THREADS": "1"})


def strike(jobs: Jobs, fault: Fault) -> None:
    """Submit, strike, and let all runs come to their end."""
    job = jobs.submit(*fault.planned_runs, options=fault.options)
    if fault.strike is not nothing:
        jobs.wait_until_it_trains(PLANNED_RUN, 0, STRUCK_AT)
        fault.strike(jobs, job)
    if fault.again:
        jobs.submit(PLANNED_RUN)
    wait_until(lambda: all(jobs.done(planned_run) for planned_run in fault.planned_runs), "all runs are done")
    wait_until(lambda: not jobs.cluster.run("squeue", "-h").strip(), "the queue is empty")
    time.sleep(2)  # the database hears of the end a little later


def judge(jobs: Jobs) -> tuple[list[str], bool, str]:
    """Figures of the whole suite, whether they add up within what is tolerated, and the weights."""
    code, found = jobs.reconcile()
    seconds = Seconds.summed(one.seconds for one in found.allocations)
    allocated = sum(one.allocated for one in found.allocations)
    result = jobs.folder(PLANNED_RUN).result()
    assert result is not None
    figures = [
        ", ".join(one.state for one in found.allocations),
        str(sum(len(one.attempts) for one in found.allocations)),
        *(f"{value:.1f}" for value in seconds.model_dump().values()),
        *(f"{allocated:.0f}", f"{sum(one.tolerated_seconds for one in found.allocations):.1f}"),
        *(f"{result.spent.lost_device_seconds:.2f}", str(result.spent.lost_steps)),
    ]
    adds_up = abs(seconds.total - allocated) < 1e-6 and not found.unreconciled
    return figures, code == 0 and adds_up and result.status == "ok", result.weights_sha256 or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
