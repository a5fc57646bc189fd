"""`make same AGAINST=REF`: whether the working tree computes the same numbers as another commit.

Both trees train three small suites on this machine with this interpreter, one thread each: every method on slices and
on volumes with a budget of steps, and a search with its finals. Compared are weights as tensor bytes, test cases,
validations and counts; tensors by position, since their names may change. Runs are known by what was asked of them, so
that another choice of a search is a run that one tree lacks; not by ids, since the protocol's version is part of them.
"""

from __future__ import annotations

import argparse
import hashlib
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

from tests.bench.same_suites import SUITES
from tests.bench.trees import checkout, copy_code, environment_of

COUNTS = ("status", "stage_steps", "images_seen", "labelled_images_seen", "parameters_training", "parameters_predictor")
"""Fields of a result that do not depend on time, beside the validations."""
NOT_COMPARED = ("device_seconds", "patients")
"""Fields of a validation that depend on time, or that one tree alone writes: names, no numbers."""
CASE_KEY = ["checkpoint", "case", "class_name"]
SHOWN_DIFFERENCES = 4

Numbers = dict[str, str]
"""Meaning of a number (cases[last, phantom029_ED, LV].dice) -> its text, which differs if a bit of it differs."""


def flat(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Each number below `value` with its path; a float's text tells all of its bits."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from flat(part, f"{at}.{name}")
    elif isinstance(value, list):
        yield f"{at}.length", str(len(value))
        for index, part in enumerate(value):
            yield from flat(part, f"{at}[{index}]")
    else:
        yield at, repr(value)


def tensor_numbers(state: Mapping[str, torch.Tensor], at: str) -> Numbers:
    """A digest for each tensor by its position, whatever its name."""
    numbers = {f"{at}.length": str(len(state))}
    for index, tensor in enumerate(state.values()):
        content = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        numbers[f"{at}[{index}]"] = f"{tensor.dtype} {tuple(tensor.shape)} {digest}"
    return numbers


def run_numbers(folder: Path) -> Numbers:
    """The numbers of one finished run: weights, validations, counts, and each metric of each test case and class."""
    result = json.loads((folder / "result.json").read_text())
    checkpoint = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    numbers = tensor_numbers(checkpoint["method"], "weights") | tensor_numbers(checkpoint["best"] or {}, "best_weights")
    validations = [{k: v for k, v in each.items() if k not in NOT_COMPARED} for each in result["validations"]]
    numbers |= flat(validations, "validations")
    numbers |= flat({name: result[name] for name in (*COUNTS, "best_validation")}, "result")
    if (folder / "cases.parquet").exists():
        cases = pd.read_parquet(folder / "cases.parquet").set_index(CASE_KEY)
        if not cases.index.is_unique:
            raise ValueError(f"{folder}: test cases stand more than once: {', '.join(CASE_KEY)} must differ")
        for key, row in zip(cases.index, cases.to_dict("records"), strict=True):
            numbers |= flat(row, f"cases[{', '.join(key)}]")
    return numbers


def run_key(run: Mapping[str, Any]) -> str:
    """What a run is known by in both trees. The digest tells apart trials that differ in hyper-parameters alone.

    A switch that is off says as little as one that a tree does not write.
    """
    params = {name: value for name, value in run["params"].items() if value is not None and value is not False}
    settings = [params, run["engine"]["optimiser"]["learning_rate"], run["budget"]["steps"]]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
    labelled = run["labelled"] or "all"
    return f"{run['role']} {run['method']} {labelled}-labelled subset {run['subset']} seed {run['seed']} ({digest})"


def suite_numbers(root: Path) -> dict[str, Numbers]:
    """Key -> numbers of each run of a suite."""
    numbers = {}
    for folder in sorted((root / "runs").iterdir()):
        key = run_key(json.loads((folder / "run.json").read_text()))
        if key in numbers:
            raise ValueError(f"{root}: two runs are {key}")
        numbers[key] = run_numbers(folder)
    return numbers


def compare(name: str, reference: Mapping[str, Numbers], current: Mapping[str, Numbers]) -> list[str]:
    """Print a line for each run of a suite, and what differs; the lines of those that are not equal."""
    bad = []
    for key in dict.fromkeys([*reference, *current]):
        if key not in reference or key not in current:
            line = f"{name}: {key}: absent from the {'working tree' if key in reference else 'reference'}"
            bad.append(line)
        else:
            line = f"{name}: {key}: {report(reference[key], current[key])}"
            bad += [line] if "DIFFERS" in line else []
        print(line)
    return bad


def report(reference: Numbers, current: Numbers) -> str:
    """Equal, with the count; or what differs, the first few numbers of it."""
    names = [name for name in dict.fromkeys([*reference, *current]) if reference.get(name) != current.get(name)]
    if not names:
        return f"equal ({len(reference)} tensors and numbers)"
    lines = [f"{name}: {reference.get(name, 'absent')} -> {current.get(name, 'absent')}" for name in names]
    return "\n    ".join([f"DIFFERS in {len(lines)} numbers", *lines[:SHOWN_DIFFERENCES]])


def train(tree: Path, folder: Path, names: Sequence[str]) -> Path:
    """Run the suites with the code of `tree`; the folder of their records. Raises `RuntimeError` where one fails."""
    folder.mkdir()
    environment = environment_of(tree) | {"HARNESS_CACHE": str(folder / "cache")}
    for name in names:
        (folder / f"{name}.yaml").write_text(SUITES[name])
        command = [sys.executable, "-m", "harness", "run", "--suite", f"{name}.yaml", "--no-track", "--no-panels"]
        done = subprocess.run(
            [*command, "--executor", "inline", "--runs", "records"],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{tree}: {name} ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    return folder / "records"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, compare, print; 1 if anything differs or is absent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="main", help="the commit to compare with")
    parser.add_argument("--only", choices=sorted(SUITES), nargs="+", default=sorted(SUITES), help="suites to run")
    asked = parser.parse_args(arguments)
    bad = []
    with tempfile.TemporaryDirectory(prefix="harness-same-") as name:
        folder = Path(name)
        current = copy_code(folder / "working-tree")
        with checkout(asked.against, folder / "reference") as reference, ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(train, tree, folder / f"of-{tree.name}", asked.only) for tree in (reference, current)]
            try:
                old, new = [job.result() for job in jobs]
            except RuntimeError as error:
                print(f"not compared: {error}")
                return 1
        for suite in asked.only:
            bad += compare(suite, suite_numbers(old / suite), suite_numbers(new / suite))
    print(f"\nNOT equal to {asked.against}:\n" + "\n".join(bad) if bad else f"all equal to {asked.against}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
