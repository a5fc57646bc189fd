"""`make same AGAINST=REF`: whether the working tree computes the same numbers as another commit.

Both trees train every method that both have on slices and on patches, a few steps on one thread each, on this machine
with this interpreter. Compared are weights bit by bit, test cases, validations and counts; tensors by position, since
their names may change, and runs by method, since the protocol's version is part of their ids.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from harness.suite.registry import method_sources
from harness.train.monitor import tensors_sha256
from tests.bench.trees import checkout, copy_code, environment_of

SUITES: Mapping[str, Mapping[str, Any]] = {
    "slices": {
        "dataset": "phantom", "preprocessing": {"size": [48, 48], "resize": "area"}, "budget": {"steps": 18},
        "engine": {"batch_size": 4, "channels_last": True, "validations": 3},
    },
    "volumes": {
        "dataset": "phantom3d", "preprocessing": {"size": [32, 32, 16], "shrink": 2}, "budget": {"steps": 9},
        "engine": {"batch_size": 2, "validations": 2, "window_stride": [32, 32, 16]},
    },
}  # fmt: skip
FEWER_PIXELS = {"action_pp": {"params": {"queue": 1024, "anchors": 64}}}
COUNTS = ("status", "stage_steps", "images_seen", "labelled_images_seen", "parameters_training", "parameters_predictor")
"""Fields of a result that do not depend on time, beside the validations."""
NOT_COMPARED = ("device_seconds", "patients")
"""Fields of a validation that depend on time, or that one tree alone writes."""
SHOWN_DIFFERENCES = 4

Numbers = dict[str, str]
"""Meaning of a number -> its text, which differs if a bit of it differs."""


def suite_text(name: str, methods: Sequence[str]) -> str:
    """A suite of one run of each method; no number in it depends on time."""
    entries = {method: FEWER_PIXELS.get(method) for method in methods}
    return yaml.safe_dump({"name": name, **SUITES[name], "labelled": [3], "seeds": [0], "methods": entries})


def run_numbers(folder: Path) -> Numbers:
    """The numbers of a finished run: weights, validations, counts, and each metric of each test case and class."""
    result = json.loads((folder / "result.json").read_text())
    checkpoint = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    state = {f"{place:04}": tensor for place, tensor in enumerate(checkpoint["method"].values())}
    numbers = {"weights": tensors_sha256(state), **{name: repr(result[name]) for name in COUNTS}}
    for place, validation in enumerate(result["validations"]):
        numbers |= {f"validations[{place}].{k}": repr(v) for k, v in validation.items() if k not in NOT_COMPARED}
    cases = pd.read_parquet(folder / "cases.parquet").set_index(["checkpoint", "case", "class_name"])
    for key, row in zip(cases.index, cases.to_dict("records"), strict=True):
        numbers |= {f"cases[{', '.join(key)}].{name}": repr(value) for name, value in row.items()}
    return numbers


def by_method(root: Path) -> dict[str, Numbers]:
    folders = sorted((root / "runs").iterdir())
    return {json.loads((folder / "run.json").read_text())["method"]: run_numbers(folder) for folder in folders}


def differences(reference: Mapping[str, Numbers], current: Mapping[str, Numbers]) -> Iterator[tuple[str, list[str]]]:
    for method, old in reference.items():
        new = current[method]
        names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
        yield method, [f"{name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}" for name in names]


def train(tree: Path, folder: Path, texts: Mapping[str, str]) -> Path:
    """Run the suites with the code of `tree`; the folder of their records. Raises `RuntimeError` where one fails."""
    folder.mkdir()
    environment = environment_of(tree) | {"HARNESS_CACHE": str(folder / "cache")}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
        command = [sys.executable, "-m", "harness", "run", "--suite", f"{name}.yaml", "--no-track", "--no-panels"]
        done = subprocess.run(
            [*command, "--executor", "inline", "--runs", "records"],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{tree}: {name} ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    return folder / "records"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="main", help="the commit to compare with")
    parser.add_argument("--only", choices=sorted(SUITES), nargs="+", default=sorted(SUITES), help="suites to run")
    parser.add_argument("--methods", choices=sorted(method_sources()), nargs="+", help="default: all that both have")
    asked = parser.parse_args()
    differ = False
    with tempfile.TemporaryDirectory(prefix="harness-same-") as name:
        folder = Path(name)
        current = copy_code(folder / "working-tree")
        with checkout(asked.against, folder / "reference") as reference, ThreadPoolExecutor(2) as pool:
            there = [each for each in sorted(method_sources()) if (reference / "methods" / f"{each}.py").exists()]
            texts = {suite: suite_text(suite, asked.methods or there) for suite in asked.only}
            jobs = [pool.submit(train, tree, folder / f"of-{tree.name}", texts) for tree in (reference, current)]
            try:
                old, new = [job.result() for job in jobs]
            except RuntimeError as error:
                print(f"not compared: {error}")
                return 1
        for suite in asked.only:
            for method, lines in differences(by_method(old / suite), by_method(new / suite)):
                differ = differ or bool(lines)
                said = f"DIFFERS in {len(lines)} numbers" if lines else "equal"
                print("\n    ".join([f"{suite}: {method}: {said}", *lines[:SHOWN_DIFFERENCES]]))
    print(f"\n{'NOT' if differ else 'all'} equal to {asked.against}")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
