"""Memory of training processes: what one and two of them hold of the prepared data, and the peak of a whole run.

    python -m tests.bench.memory_bench --data DIR [--suite la_mini] [--against v0.1.0]

DIR: the suite's scans. Workers load what a run loads and draw a few batches; shown is the proportional
set size of their mappings, where a page of two processes counts half in each, and of all their memory. The run takes
two steps of the labelled-only baseline, then validates and tests; its peak is that of its process's resident set.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from harness.api.method import BatchPlan
from harness.data.cache import Cache
from harness.data.mapped import map_cases
from harness.data.prepare import resolve
from harness.data.slices import Slices
from harness.data.volumes import Volumes
from harness.evaluation.evaluate import load_volumes
from harness.records.schema import Preprocessing
from harness.suite.load import SUITES, load_suite
from harness.suite.registry import load_dataset
from tests.bench.trees import checkout, copy_code, environment_of
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
    """Proportional set size of all of a process's memory."""
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


def prepared(tree: Path, dataset: str, data: Path) -> Path:
    """The cache that the code of `tree` makes of a dataset, or has made."""
    command = [sys.executable, "-P", "-m", "harness", "data", "prepare", dataset, "--from", str(data)]
    done = subprocess.run(command, env=environment_of(tree), capture_output=True, text=True, check=True)
    return Path(done.stdout.splitlines()[-1])


def peak_of_run(tree: Path, suite: Path, data: Path, folder: Path) -> int:
    """Bytes that the process of a whole run held at the most."""
    command = [sys.executable, "-P", "-m", "harness", "run", "--suite", str(suite), "--data", str(data)]
    with (folder / "log").open("w") as log:
        run = subprocess.Popen(
            [*command, "--runs", str(folder / "runs"), "--executor", "inline", "--no-track"],
            cwd=folder, env=environment_of(tree), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        _, status, usage = os.wait4(run.pid, 0)
    if status:
        raise RuntimeError(f"a run of {tree} failed: {(folder / 'log').read_text(encoding='utf-8')}")
    return usage.ru_maxrss * 1024


def two_steps(name: str) -> str:
    """A suite of one run of two steps, with the data and the sizes of another; readable by any version."""
    content = yaml.safe_load((SUITES / f"{name}.yaml").read_text(encoding="utf-8"))
    kept = {key: content[key] for key in ("dataset", "preprocessing")}
    engine = {"batch_size": content["engine"]["batch_size"]}
    if len(content["preprocessing"]["size"]) == 3:
        engine["window_stride"] = content["preprocessing"]["size"]  # as few windows as there can be
    few = {"labelled": [4], "subsets": [0], "seeds": [0], "methods": {"supervised": None}, "budget": {"steps": 2}}
    return yaml.safe_dump({"name": "two_steps", "description": "for memory", "engine": engine} | kept | few)


def compare_peaks(reference: str, name: str, dataset: str, data: Path) -> None:
    """Print the peaks of two runs of both trees: the first makes what the second one finds."""
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as made:
        folder = Path(made)
        (suite := folder / "two_steps.yaml").write_text(two_steps(name), encoding="utf-8")
        peaks = []
        with checkout(reference, folder / "reference") as other:
            for tree in (other, copy_code(folder / "working-tree")):
                cache = prepared(tree, dataset, data)
                for turn in ("first", "second"):
                    (into := folder / f"{tree.name}-{turn}").mkdir()
                    peaks.append(peak_of_run(tree, suite, cache, into))
                    print(f"  peak of the {turn} run of the {tree.name}: {peaks[-1] / 1e6:8.0f} MB", flush=True)
        print(f"  working tree to reference: first {peaks[2] / peaks[0]:.2f}, second {peaks[3] / peaks[1]:.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--suite", default="la_mini")
    parser.add_argument("--against", metavar="REF", help="a commit whose peak is shown too")
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
    if asked.against:
        compare_peaks(asked.against, asked.suite, suite.dataset, asked.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
