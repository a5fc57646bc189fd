"""Seconds and memory of `plan`, `status` and `leaderboard` for suites of many runs.

    python -m tests.bench.boards_bench [--runs DIR] [--counts 50 500 5000]

With --runs the made-up records stay there for next time. Every verb is a process: CPU seconds of all its threads, and
its largest resident memory. Cold is without an index, warm with one. The plan is that of a suite whose runs are all
still to be trained, beside as many finished ones.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPO, command_environment

COUNTS = (50, 500, 5000)
WRITE = """
import json, os, sys
from pathlib import Path
from harness.records.checksums import seal_record
from harness.records.files import write_text
from tests.synthetic import RunSpec, key, write_records
os.fsync = lambda handle: None
methods = {f"method_{i:02d}": 0.05 * i for i in range(10)}
spec = RunSpec(methods=methods, subsets=5, seeds=max(1, int(sys.argv[2]) // 100), history_steps=2)
copies = [each for each in spec.planned_runs if each.subset or each.seed]
store = write_records(Path(sys.argv[1]), RunSpec(**{**vars(spec), "missing": frozenset(map(key, copies))}))
planned = [each for each in spec.planned_runs if not (each.subset or each.seed)]
first = {(each.entry, each.labelled): store.by_id(spec.run(each).id) for each in planned}
results = {cell: json.loads((folder.path / "result.json").read_text()) for cell, folder in first.items()}
for each in copies:
    like, run = first[each.entry, each.labelled], spec.run(each)
    folder = store.by_id(run.id)
    folder.create(run)
    for path in like.ended_files():
        (target := folder.path / path.relative_to(like.path)).parent.mkdir(exist_ok=True)
        os.link(path, target)
    content = {**results[each.entry, each.labelled], "run": run.id}
    del content["sha256"]
    write_text(folder.path / "result.json", seal_record(json.dumps(content)))
"""
"""Ten methods, two labelled counts, five subsets; each cell's first run is real and the others link to its files."""


@dataclass(frozen=True)
class Cost:
    cpu_seconds: float
    peak_mb: float


def run(runs: Path, *command: str) -> Cost:
    """Run python on the records in a folder, whose data are prepared beside them."""
    with subprocess.Popen(
        [sys.executable, *command], cwd=REPO, env=command_environment({"HARNESS_CACHE": str(runs / "cache")}),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        message = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(message.decode())
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def written(runs: Path, count: int) -> Path:
    """The records of a suite of about so many runs, written unless they are there."""
    folder = runs / f"synthetic_{count}"
    if not (folder / "suites").is_dir():
        run(runs, "-c", WRITE, str(folder), str(count))
    return folder


def take(runs: Path, verb: str, count: int) -> Cost:
    folder = written(runs, count)
    if verb != "plan":
        return run(runs, "-m", "harness", verb, str(folder))
    suite = folder.with_suffix(".yaml")
    suite.write_text(
        f"name: {suite.stem}\ndataset: phantom\npreprocessing: {{size: [48, 48]}}\nlabelled: [3]\n"
        f"subsets: [0, 1]\nseeds: {list(range(max(1, count // 4)))}\n"
        "methods: {supervised: , ua_mt: }\nbudget: {device_seconds: 8}\n"
    )
    return run(runs, "-m", "harness", "plan", "--suite", str(suite), "--runs", str(runs))


def measure(runs: Path, verb: str, count: int, *, cold: bool = False) -> Cost:
    """The median by CPU seconds of three processes. cold: each without an index."""
    costs = []
    for _ in range(3):
        if cold:
            shutil.rmtree(written(runs, count) / "index", ignore_errors=True)
        costs.append(take(runs, verb, count))
    return sorted(costs, key=lambda cost: cost.cpu_seconds)[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    asked = parser.parse_args()
    turns = ("plan", False), ("status", True), ("status", False), ("leaderboard", True), ("leaderboard", False)
    with tempfile.TemporaryDirectory() as aside:
        runs = (asked.runs or Path(aside)).resolve()
        run(runs, "-m", "harness", "data", "prepare", "phantom")
        for verb, cold in turns:
            title, seconds = f"{verb:<12}{'cold' if cold else 'warm':<6}", []
            for count in asked.counts:
                cost = measure(runs, verb, count, cold=cold)
                seconds.append(cost.cpu_seconds)
                print(f"{title}{count:>6} runs {cost.cpu_seconds:7.2f} s {cost.peak_mb:5.0f} MB", flush=True)
            if len(seconds) > 1:
                slope = math.log(seconds[-1] / seconds[-2]) / math.log(asked.counts[-1] / asked.counts[-2])
                print(f"{title}grows with the power {slope:.2f} of the runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
