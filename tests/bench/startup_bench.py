"""What it takes to start: from `harness run` to the first step, from a run to the next, and a run beside its steps.

    python -m tests.bench.startup_bench [--rounds 4]

Runs of two steps on the phantoms of `demo`, one at a time. A run counts as started when its ledger says `start`, with
data and networks in place. `import torch` is measured beside them, since a busy machine slows all alike.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean

from tests.bench.trees import environment_of
from tests.support import REPO

SUITE = """\
name: start
dataset: phantom
preprocessing: {size: [48, 48], resize: area}
labelled: [3]
seeds: SEEDS
methods:
  supervised:
budget: {steps: 2}
engine:
  batch_size: 4
  channels_last: true
  validations: 1
"""
FEW, MANY = 2, 6
"""Runs of the two suites whose difference is what a run takes."""


@dataclass(frozen=True)
class Start:
    """Seconds, all wall but the two of the processor.

    torch, torch_cpu: `import torch` in a fresh process.
    first:   from the command to the first run that is about to warm up.
    gap:     from the result of a run to the next one that is about to warm up; the longest.
    run_cpu: what a suite takes for each run of two steps more, less what those were charged.
    """

    torch: float
    torch_cpu: float
    first: float
    gap: float
    run_cpu: float


def timed(command: Sequence[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Wall seconds of a command, and processor seconds with those of all processes that it waited for."""
    began = time.monotonic()
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", *command], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{(folder / 'output').read_text()}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def run_times(records: Path) -> list[tuple[float, float, float]]:
    """When each finished run of a suite started and ended, and the processor seconds that its steps were charged."""
    times = []
    for result in records.glob("*/*/result.json"):
        lines = [json.loads(line) for line in (result.parent / "ledger.jsonl").read_text().splitlines()]
        at = next(line["at"] for line in lines if line["kind"] == "start")
        started = datetime.fromisoformat(at).timestamp()
        times.append((started, result.stat().st_mtime, lines[-1]["device_seconds"]))
    return sorted(times)


def measure(folder: Path, environment: dict[str, str]) -> Start:
    torch, torch_cpu = timed(["-c", "import torch"], folder, environment)
    cpu, first, gap, charged = {}, [], [], 0.0
    for count in (FEW, MANY):
        text = SUITE.replace("SEEDS", str(list(range(count))))
        (folder / "start.yaml").write_text(text)
        options = ("--suite", "start.yaml", "--runs", "records", "--workers", "1", "--no-track", "--no-panels")
        began = time.time()
        _, cpu[count] = timed(["-m", "harness", "run", *options], folder, environment)
        times = run_times(folder / "records" / "start")
        shutil.rmtree(folder / "records")
        first.append(times[0][0] - began)
        gap.append(max(started - ended for (_, ended, _), (started, _, _) in pairwise(times)))
        charged = mean(own for _, _, own in times)
    return Start(torch, torch_cpu, mean(first), max(gap), (cpu[MANY] - cpu[FEW]) / (MANY - FEW) - charged)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="harness-start-") as name:
        folder = Path(name)
        environment = environment_of(REPO) | {"HARNESS_CACHE": str(folder / "cache")}
        measure(folder, environment)  # prepares the data, and compiles what is imported
        print("".join(f"{field.name:>12}" for field in fields(Start)))
        for _ in range(rounds):
            print("".join(f"{value:12.2f}" for value in astuple(measure(folder, environment))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
