"""Jobs of slurm/sweep.sh over tiny suites."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.records.suite_folder import SuiteFolder
from tests.slurm.cluster import Cluster
from tests.slurm.submissions import stand_in
from tests.support import REPO, run_process
from tests.train.tiny import Tiny

SWEEP = REPO / "slurm" / "sweep.sh"


@dataclass(frozen=True)
class Sweep:
    """One job.

    log: what it printed, over all its starts.
    """

    cluster: Cluster
    tiny: Tiny
    job: str
    log: Path

    @property
    def output(self):
        return self.log.read_text() if self.log.exists() else ""

    def field(self, name):
        shown = self.cluster.run("scontrol", "show", "job", self.job).split()
        return next(word.partition("=")[2] for word in shown if word.startswith(f"{name}="))

    def end(self):
        state = self.cluster.wait_for_state(self.job)
        return f"{state} {self.field('ExitCode').partition(':')[0]}"

    def warn(self):
        self.cluster.run("scancel", "--batch", "--signal=USR1", self.job)


def environment_of(tiny, changes):
    outside = {name: None for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"}
    own = {"SUITE": str(tiny.suite), "RUNS": str(tiny.runs), "VENV": sys.prefix, "EXTRA": "--checkpoint-seconds 0.3"}
    own |= {"EARLY_SECONDS": "0"}  # tests warn at any time
    return {**tiny.environment, **outside, **own, **changes}


def submit(cluster, tiny, *options, **changes):
    command = ("sbatch", "--parsable", "--mem=8G", "--output=%j.log", *options, str(SWEEP))
    job = run_process(*command, env=environment_of(tiny, changes), cwd=tiny.root, code=0).stdout.strip()
    return Sweep(cluster, tiny, job, tiny.root / f"{job}.log")


def training(tiny):
    if not (tiny.store / "runs").exists():
        return {}
    found = {}
    for folder in SuiteFolder(tiny.store).folders():
        holder, lines = folder.lease.holder(), folder.ledger.lines()
        if holder is not None and lines and lines[-1].steps and lines[-1].kind != "end":
            found[holder.host] = folder
    return found


def python_that(folder, does):
    stand_in(folder / "venv" / "bin", "python", does)
    return folder / "venv"
