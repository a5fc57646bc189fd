"""Memory of training processes: what one and two of them hold of the prepared data.

    python -m tests.bench.memory_bench --data DIR [--suite la_mini]

DIR: the suite's scans. Workers load what a run loads and draw a few batches; shown is the proportional set size of
their mappings, where a page of two processes counts half in each, and of all their memory.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.api.method import BatchPlan
from harness.data.cache import Cache
from harness.data.mapped import map_cases
from harness.data.prepare import resolve
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.evaluation.evaluate import load_volumes
from harness.records.schema import Preprocessing
from harness.suite.load import load_suite
from harness.suite.registry import load_dataset
from tests.bench.trees import environment_of
from tests.support import REPO


def mapped_bytes(process: int, folder: Path) -> int:
    """Proportional set size of all that a process maps from files below a folder."""
    total, counts = 0, False
    for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8").splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):  # the first line of a mapping ends with its file
            counts = line.partition("/")[2] != "" and Path("/" + line.partition("/")[2]).is_relative_to(folder)
        elif name == "Pss:" and counts:
            total += int(rest[0]) * 1024
    return total


def all_bytes(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def work(folder: Path, preprocessing: Preprocessing) -> None:
    """Load as a run does, draw batches, print the seconds of loading, wait for the end of the input."""
    torch.set_num_threads(1)
    wall, cpu = time.perf_counter(), time.thread_time()
    cache, device = Cache.open(folder), torch.device("cpu")
    cases = map_cases(cache, "train", preprocessing)
    kind = Volumes if len(preprocessing.size) == 3 else Slices
    data = kind.load(cases, cases.patients[:4], device)
    validation = load_volumes(map_cases(cache, "val", preprocessing), device)
    spent = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.thread_time() - cpu}
    sampler = data.sampler(0, augmentation="weak")
    for _ in range(20):
        sampler.next(BatchPlan(labelled=2, unlabelled=2))
    # every page, as a long run meets it
    checksum = float(cases.images.sum()) + int(cases.labels.sum(dtype=torch.int64)) + int(cases.native.max())
    checksum += sum(float(volume.images.sum()) + float(volume.labels.sum()) for volume in validation)
    print(json.dumps(spent | {"checksum": checksum}), flush=True)
    sys.stdin.read()


@dataclass(frozen=True, slots=True)
class Weight:
    """Of several workers together, in bytes; the seconds are the last one's."""

    mapped: int
    all: int
    wall_seconds: float
    cpu_seconds: float


def weigh(count: int, folder: Path, preprocessing: Preprocessing) -> Weight:
    """Start so many workers, weigh them while all have loaded, and end them."""
    command = [sys.executable, "-m", "tests.bench.memory_bench", "--work", preprocessing.model_dump_json()]
    workers = [
        subprocess.Popen(
            [*command, "--data", str(folder)], cwd=REPO, env=environment_of(REPO),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    try:
        loaded = [json.loads(worker.stdout.readline()) for worker in workers if worker.stdout]
        pids = [worker.pid for worker in workers]
        mapped, everything = sum(mapped_bytes(pid, folder) for pid in pids), sum(map(all_bytes, pids))
        return Weight(mapped, everything, loaded[-1]["wall_seconds"], loaded[-1]["cpu_seconds"])
    finally:
        for worker in workers:
            worker.communicate()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--suite", default="la_mini")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.work:
        work(asked.data, Preprocessing.model_validate_json(asked.work))
        return 0
    suite = load_suite(asked.suite).suite
    folder = resolve(load_dataset(suite.dataset), asked.data).folder
    print(f"{suite.dataset}, {suite.preprocessing}")
    weights = [weigh(count, folder, suite.preprocessing) for count in (1, 1, 2)]
    for title, weight in zip(("the first alone", "one", "two together"), weights, strict=True):
        print(
            f"  {title:16} mapped {weight.mapped / 1e6:8.1f} MB, all {weight.all / 1e6:8.1f} MB, "
            f"loaded in {weight.wall_seconds:6.2f} s, {weight.cpu_seconds:6.2f} of them CPU"
        )
    _, single, two = weights
    print(f"  two to one: mapped {two.mapped / single.mapped:.3f}, all {two.all / single.all:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
