"""An array of a real Slurm whose nodes are taken away at random: it ends complete, and every second is explained.

python -m tests.chaos.array [TASKS [PREEMPT_MODE [SEED]]]
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from harness.records.suite_folder import SuiteFolder
from tests.chaos.__main__ import set_up
from tests.chaos.process import call
from tests.slurm.cluster import Cluster, running_cluster
from tests.slurm.submissions import write_cluster
from tests.train.tiny import write_suite

CLUSTER = "partition: low\ntime: 5\nmemory: 500M\nrun_time: 2\nmax_parallel: 8\nfinish: {memory: 500M, time: 5}\n"
PAUSE_SECONDS = 10.0, 25.0
"""Between two jobs that take a node away from all tasks on it."""

SUBMISSIONS = 5
"""Under PreemptMode=CANCEL a task that is preempted before its shell listens is gone, and `run` submits it again."""


def preempt(slurm: Cluster, random: Random) -> int:
    """Take nodes away until nothing waits or runs any more; how often."""
    taken = 0
    while slurm.run("squeue", "-h").strip():
        options = ("--partition=high", "--exclusive", "--output=/dev/null", f"--nodelist={random.choice(slurm.nodes)}")
        slurm.run("sbatch", *options, "--wrap", "sleep 2")
        taken += 1
        time.sleep(random.uniform(*PAUSE_SECONDS))
    return taken


def main(tasks: str = "500", mode: str = "REQUEUE", seed: str = "0") -> int:
    """1 if a run is missing, a record damaged or a second unexplained."""
    root = Path(tempfile.mkdtemp(prefix="array-")).resolve()
    set_up(root)
    suite = write_suite(root, {"tiny_floor": {}}, seeds=list(range(int(tasks))), budget={"steps": 200})
    write_cluster(root, CLUSTER)
    with running_cluster(root / "slurm") as slurm:
        os.environ["SLURM_CONF"] = str(slurm.conf)
        slurm.run("scontrol", "update", "PartitionName=low", f"PreemptMode={mode}")
        options = ("--executor", "slurm", "--cluster", "mini.yaml", "--no-track", "--checkpoint-seconds", "0.5")
        began = time.monotonic()
        store, taken, left = SuiteFolder(root / "runs" / "tiny"), list[int](), int(tasks)
        while left and len(taken) < SUBMISSIONS:
            print(call("run", "--suite", suite, *options, cwd=root).output, flush=True)
            taken.append(preempt(slurm, Random(f"array {seed} {len(taken)}")))
            left = int(tasks) - len(list(store.root.glob("runs/*/result.json")))
        minutes = (time.monotonic() - began) / 60
        done = [call(verb, store.root, cwd=root) for verb in ("status", "verify", "reconcile")]
    runs = [store.by_id(entry.run) for entry in store.selection().entries]
    ended, attempts = sum(run.done for run in runs), sum(run.ledger.spent().attempts for run in runs)
    print(f"{mode}: {ended} of {len(runs)} runs, {attempts} attempts, nodes taken away in each submission: {taken}")
    print(f"{minutes:.0f} minutes")
    print(*(f"{each.code}: {each.output[-1500:]}" for each in done), f"left in {root}", sep="\n")
    return int(ended < len(runs) or any(each.code for each in done))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
