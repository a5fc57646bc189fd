"""Seconds and memory of `plan`, `status` and `leaderboard` for suites of many runs, beside another checkout.

    python -m tests.bench.boards_bench [--runs DIR] [--against CHECKOUT]

Each tree writes records of its own with its own builder; with --runs they stay there for next time. Every verb is a
process: CPU seconds of all its threads, and its largest resident memory. Cold is without an index, warm with one. The
plan is that of a suite whose runs are all still to be trained, beside as many finished ones.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPO, command_environment

COUNTS = (50, 500, 5000)
WRITE = """
import os, sys
from pathlib import Path
from tests.synthetic import RunSpec, write_records
os.fsync = lambda handle: None
methods = {f"method_{i:02d}": 0.05 * i for i in range(10)} | {"supervised_full": 0.0}
seeds = max(1, int(sys.argv[2]) // 100)
write_records(Path(sys.argv[1]), RunSpec(methods=methods, subsets=5, seeds=seeds, history_steps=2))
"""
"""In either tree: ten methods, two labelled counts, five subsets. No made-up record is worth waiting for the disk."""


@dataclass(frozen=True)
class Cost:
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Tree:
    """A checkout, and the folder of the records that it wrote."""

    root: Path
    runs: Path

    @property
    def by_folder(self) -> bool:
        """Whether verbs take the folder of a suite's records; they took the suite's name once."""
        return (self.root / "harness" / "records").is_dir()

    def run(self, *command: str) -> Cost:
        environment = {**command_environment(), "PYTHONPATH": str(self.root), "HARNESS_CACHE": str(self.runs / "cache")}
        with subprocess.Popen(
            [sys.executable, *command],
            cwd=self.root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            message = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(message.decode())
        return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)

    def suite(self, count: int) -> Path:
        """The records of a suite of about so many runs, written unless they are there."""
        folder = self.runs / f"synthetic_{count}"
        if not (folder / "suites").is_dir():
            self.run("-c", WRITE, str(folder), str(count))
        return folder

    def verb(self, verb: str, count: int) -> Cost:
        """One verb of the command line, on the records of so many runs."""
        if verb == "plan":
            return self.run("-m", "harness", "plan", "--suite", str(self._file(count)), "--runs", str(self.runs))
        if self.by_folder:
            return self.run("-m", "harness", verb, str(self.suite(count)))
        return self.run("-m", "harness", verb, "--suite", self.suite(count).name, "--runs", str(self.runs))

    def _file(self, count: int) -> Path:
        """A suite of that name with as many runs."""
        path = self.runs / f"{self.suite(count).name}.yaml"
        path.write_text(
            f"name: {path.stem}\ndescription: many runs\ndataset: phantom\npreprocessing: {{size: [48, 48]}}\n"
            f"labelled: [3]\nsubsets: [0]\nseeds: {list(range(count // 2))}\nmethods: {{supervised: , ua_mt: }}\n"
            "budget: {device_seconds: 8}\n"
        )
        return path


def measure(tree: Tree, verb: str, count: int, *, cold: bool = False) -> Cost:
    """The median by CPU seconds of three processes. cold: each without an index."""
    costs = []
    for _ in range(3):
        if cold:
            shutil.rmtree(tree.suite(count) / "index", ignore_errors=True)
        costs.append(tree.verb(verb, count))
    return sorted(costs, key=lambda cost: cost.cpu_seconds)[1]


def main(arguments: Sequence[str]) -> int:
    """Print a line for each verb and number of runs, then how costs grow from the second last number to the last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as aside:
        folder = (asked.runs or Path(aside)).resolve()
        own = Tree(REPO, folder / "own")
        other = None if asked.against is None else Tree(asked.against.resolve(), folder / "other")
        for tree in filter(None, (own, other)):
            tree.run("-m", "harness", "data", "prepare", "phantom")
        for verb, cold in (
            ("plan", False),
            ("status", True),
            ("status", False),
            ("leaderboard", True),
            ("leaderboard", False),
        ):
            seconds = []
            for count in asked.counts:
                cost = measure(own, verb, count, cold=cold)
                seconds.append(cost.cpu_seconds)
                print(f"{verb:<12}{'cold' if cold else 'warm':<6}{count:>6} runs {_shown(cost)}", end="")
                if other is not None:
                    base = measure(other, verb, count)
                    ratios = cost.cpu_seconds / base.cpu_seconds, cost.peak_mb / base.peak_mb
                    print(f"   other {_shown(base)}   ratio {ratios[0]:.2f} {ratios[1]:.2f}", end="")
                print(flush=True)
            if len(seconds) > 1:
                slope = math.log(seconds[-1] / seconds[-2]) / math.log(asked.counts[-1] / asked.counts[-2])
                print(f"{verb:<12}{'cold' if cold else 'warm':<6}grows with the power {slope:.2f} of the runs")
    return 0


def _shown(cost: Cost) -> str:
    return f"{cost.cpu_seconds:7.2f} s {cost.peak_mb:5.0f} MB"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
