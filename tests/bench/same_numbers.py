"""`make same AGAINST=REF`: whether the working tree computes the same numbers as another commit.

Both trees train three small suites on this machine with this interpreter, one thread each: every method on slices and
on volumes with a budget of steps, and a search with its finals. Compared are weights as tensor bytes, test cases,
validations, counts, trials and the selection; tensors by position, since their names may change. Ids are not compared,
since the protocol's version is part of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True)
class SuiteNumbers:
    """All that one tree computed for one suite.

    runs:   run by its key -> its numbers.
    search: trials and selection, which name runs by their keys.
    """

    runs: Mapping[str, Numbers]
    search: Numbers


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


def case_numbers(cases: pd.DataFrame) -> Numbers:
    """Each metric of each test case and class, by selection rule."""
    cases = cases.set_index(CASE_KEY)
    if not cases.index.is_unique:
        raise ValueError(f"test cases stand more than once: {', '.join(CASE_KEY)} must differ")
    numbers = {"cases.length": str(len(cases))}
    for key, row in zip(cases.index, cases.to_dict("records"), strict=True):
        numbers |= flat(row, f"cases[{', '.join(key)}]")
    return numbers


def run_numbers(folder: Path) -> Numbers:
    """The numbers of one finished run."""
    result = json.loads((folder / "result.json").read_text())
    checkpoint = torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)
    numbers = tensor_numbers(checkpoint["method"], "weights") | tensor_numbers(checkpoint["best"] or {}, "best_weights")
    validations = [{k: v for k, v in each.items() if k not in NOT_COMPARED} for each in result["validations"]]
    numbers |= flat(validations, "validations")
    numbers |= flat(result["best_validation"], "best_validation")
    numbers |= flat({name: result[name] for name in COUNTS}, "result")
    cases = folder / "cases.parquet"
    return numbers | (case_numbers(pd.read_parquet(cases)) if cases.exists() else {})


def run_key(run: Mapping[str, Any], known: Collection[str]) -> str:
    """What a run is known by in both trees. The digest tells apart trials that differ in hyper-parameters alone.

    known: names of hyper-parameters; others are left out, since one tree alone writes them down. A switch that is off
           says as little as one that a tree does not write.
    """
    written = {name: value for name, value in run["params"].items() if name in known}
    params = {name: value for name, value in written.items() if value is not None and value is not False}
    settings = [params, run["engine"]["optimiser"]["learning_rate"], run["budget"]["steps"]]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:6]
    labelled = run["labelled"] or "all"
    return f"{run['role']} {run['method']} {labelled}-labelled subset {run['subset']} seed {run['seed']} ({digest})"


def read_runs(root: Path) -> dict[Path, dict[str, Any]]:
    """Folder -> what was asked, for each run of a suite."""
    return {folder: json.loads((folder / "run.json").read_text()) for folder in sorted((root / "runs").iterdir())}


def parameter_names(root: Path) -> dict[str, set[str]]:
    """Method -> names of the hyper-parameters that its runs write down."""
    return {run["method"]: set(run["params"]) for run in read_runs(root).values()}


def read_both(reference: Path, current: Path) -> tuple[SuiteNumbers, SuiteNumbers]:
    """The numbers of a suite in both trees; runs are known by the hyper-parameters that both write down."""
    old, new = parameter_names(reference), parameter_names(current)
    for method in old.keys() & new.keys():
        if old[method] != new[method]:
            print(f"{reference.name}: {method}: written down by one tree alone: {sorted(old[method] ^ new[method])}")
    known = {method: old.get(method, set()) & new.get(method, set()) for method in old.keys() | new.keys()}
    return read_suite(reference, known), read_suite(current, known)


def read_suite(root: Path, known: Mapping[str, Collection[str]]) -> SuiteNumbers:
    """All numbers in the records of one suite; known: as of `run_key`, by method."""
    keys, runs = {}, {}
    for folder, run in read_runs(root).items():
        key = run_key(run, known[run["method"]])
        if key in runs:
            raise ValueError(f"{root}: two runs are {key}")
        keys[folder.name], runs[key] = key, run_numbers(folder)
    selection = json.loads((root / "selection.json").read_text())
    search: Numbers = {}
    for entry in selection["entries"]:
        chosen = entry["trial"]
        bound = {"run": keys.get(entry["run"]), "ranked": entry["ranked"], "trial": chosen and keys.get(chosen["run"])}
        planned = "/".join(str(part) for part in entry["planned_run"].values())
        search |= flat(bound, f"selection[{planned}]")
    for index, candidate in enumerate(selection["candidates"] or []):
        known = {name: candidate[name] for name in ("status", "score", "chosen")}
        search |= flat(known | {"run": keys.get(candidate["trial"]["run"])}, f"candidates[{index}]")
    if (root / "trials.json").exists():
        trials = json.loads((root / "trials.json").read_text())["trials"]
        search |= flat([trial | {"run": keys.get(trial["run"])} for trial in trials], "trials")
    return SuiteNumbers(runs, search)


def differences(reference: Numbers, current: Numbers) -> list[str]:
    """What is not the same, one line a number."""
    lines = []
    for name in dict.fromkeys([*reference, *current]):
        old, new = reference.get(name), current.get(name)
        if old != new:
            lines.append(f"{name}: {'absent' if old is None else old} -> {'absent' if new is None else new}")
    return lines


def compare(name: str, reference: SuiteNumbers, current: SuiteNumbers) -> list[str]:
    """Print a line for each run of a suite, and what differs; the lines of those that are not equal."""
    bad = []
    for key in dict.fromkeys([*reference.runs, *current.runs]):
        line = f"{name}: {key}: "
        if key not in reference.runs or key not in current.runs:
            line += f"absent from the {'working tree' if key in reference.runs else 'reference'}"
            bad.append(line)
        else:
            line += report(reference.runs[key], current.runs[key])
            bad += [line] if "DIFFERS" in line else []
        print(line)
    if reference.search or current.search:
        line = f"{name}: trials and selection: {report(reference.search, current.search)}"
        bad += [line] if "DIFFERS" in line else []
        print(line)
    return bad


def report(reference: Numbers, current: Numbers) -> str:
    """Equal, with counts by kind; or what differs, at most a few lines of each kind."""
    lines = differences(reference, current)
    if not lines:
        kinds = Counter(kind_of(name) for name in reference)
        return "equal (" + ", ".join(f"{count} {kind}" for kind, count in kinds.items()) + ")"
    shown: dict[str, list[str]] = {}
    for line in lines:
        shown.setdefault(kind_of(line), []).append(line)
    text = f"DIFFERS in {len(lines)} numbers"
    for kind, group in shown.items():
        more = [f"... and {len(group) - SHOWN_DIFFERENCES} more in {kind}"] if len(group) > SHOWN_DIFFERENCES else []
        text += "".join(f"\n    {line}" for line in [*group[:SHOWN_DIFFERENCES], *more])
    return text


def kind_of(name: str) -> str:
    """weights[3] -> weights; cases[...].dice -> cases."""
    return re.split(r"[\[.:]", name, maxsplit=1)[0]


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
    with tempfile.TemporaryDirectory(prefix="harness-same-") as name:
        folder = Path(name)
        current = copy_code(folder / "working-tree")
        with checkout(asked.against, folder / "reference") as reference, ThreadPoolExecutor(2) as pool:
            jobs = [
                pool.submit(train, tree, folder / f"of-{side}", asked.only)
                for side, tree in (("reference", reference), ("working-tree", current))
            ]
            try:
                roots = [job.result() for job in jobs]
            except RuntimeError as error:
                print(f"not compared: {error}")
                return 1
        sides = {suite: read_both(roots[0] / suite, roots[1] / suite) for suite in asked.only}
    bad = [line for suite, (old, new) in sides.items() for line in compare(suite, old, new)]
    if bad:
        print(f"\nNOT equal to {asked.against}, {len(bad)} of the above:\n" + "\n".join(bad))
        return 1
    every = [numbers for _, new in sides.values() for numbers in (*new.runs.values(), new.search)]
    runs, values = sum(len(new.runs) for _, new in sides.values()), sum(map(len, every))
    print(f"all equal: {runs} runs, {values} tensors and numbers, against {asked.against}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
