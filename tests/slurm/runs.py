"""One tiny run as a plain batch job on the real Slurm, and what became of it."""

import sys
from dataclasses import dataclass
from pathlib import Path

from harness.records.accounts import Reconciliation
from harness.records.run_folder import RunFolder
from harness.records.suite_folder import SuiteFolder
from tests.slurm.cluster import Cluster
from tests.support import run_cli, wait_until
from tests.train.tiny import Tiny

CHECKPOINT_SECONDS = 3


@dataclass(frozen=True)
class Jobs:
    """Runs of a tiny suite on a cluster; output lands beside the runs."""

    cluster: Cluster
    tiny: Tiny

    def submit(self, *planned_runs: str, options: tuple[str, ...] = ()) -> str:
        """Submit a job that runs a run on one GPU; several runs are an array. Its id."""
        names = " ".join(planned_runs)
        lines = [f"export {name}={value}" for name, value in self.tiny.environment.items() if value is not None]
        command = (
            f'exec {sys.executable} -P -m harness train "${{planned_runs[${{SLURM_ARRAY_TASK_ID:-0}}]}}" '
            f"--suite {self.tiny.suite} --runs {self.tiny.runs} --checkpoint-seconds {CHECKPOINT_SECONDS}"
        )
        script = self.tiny.root / "run.sh"
        script.write_text("\n".join(["#!/bin/bash", *lines, f"planned_runs=({names})", command, ""]))
        array = (f"--array=0-{len(planned_runs) - 1}",) if len(planned_runs) > 1 else ()
        output = self.tiny.root / "job-%j.txt"
        options = ("--gres=gpu:1", "--mem=1000", "--requeue", "--open-mode=append", *array, *options)
        return self.cluster.run("sbatch", "--parsable", "-o", output, *options, script).strip()

    def folder(self, planned_run: str) -> RunFolder:
        entries = SuiteFolder.open(self.tiny.store).selection().entries
        return SuiteFolder.open(self.tiny.store).by_id(
            next(one.run for one in entries if str(one.planned_run) == planned_run)
        )

    def done(self, planned_run: str) -> bool:
        return (self.tiny.store / "selection.json").exists() and self.folder(planned_run).done

    def wait_until_it_trains(self, planned_run: str, attempt: int, steps: int) -> None:
        """Until the ledger knows of so many steps of the attempt, and of a checkpoint among them."""

        def trains() -> bool:
            if not (self.tiny.store / "selection.json").exists():
                return False
            own = [line for line in self.folder(planned_run).ledger.lines() if line.attempt == attempt]
            return any(one.kind == "checkpoint" for one in own) and own[-1].steps >= steps

        wait_until(trains, lambda: f"{planned_run} trains\n{self.output}")

    def reconcile(self) -> tuple[int, Reconciliation]:
        """Exit code of the verb, and what it wrote."""
        done = run_cli("reconcile", self.tiny.store, "--allocations", env={"SLURM_CONF": str(self.cluster.conf)})
        found = SuiteFolder.open(self.tiny.store).reconciliation()
        assert found is not None, done.stderr
        return done.returncode, found

    @property
    def output(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(Path(self.tiny.root).glob("job-*.txt")))
