from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.bench.same_numbers import SuiteNumbers, compare, read_both
from tests.bench.same_suites import SUITES

METHODS = ("ua_mt", "mc_net")


def next_float(value: float) -> float:
    """The same with its last bit changed."""
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return float(struct.unpack("<d", struct.pack("<q", bits ^ 1))[0])


def flip_bit(tensor: torch.Tensor) -> None:
    tensor.view(torch.int32)[0] ^= 1


class Planted:
    """Records of a suite of two runs with a trial each, by one version of the code; each part may be changed."""

    def __init__(self, root: Path, version: int) -> None:
        self.root = root
        self.version = version
        self.trials = root / "trials.json"
        for method in METHODS:
            for role in ("final", "search"):
                self._write_run(role, method)
        trial = [
            {"entry": name, "study": 0, "point": 0, "varied": {"tau": 0.1}, "run": self.id("search", name)}
            for name in METHODS
        ]
        write(self.trials, {"schema_version": version, "suite_hash": str(root), "trials": trial})
        entries = [
            {"planned_run": {"entry": name, "seed": 0}, "run": self.id("final", name), "ranked": True, "trial": each}
            for name, each in zip(METHODS, trial, strict=True)
        ]
        candidates = [{"trial": each, "status": "ok", "score": 0.7, "chosen": True} for each in trial]
        write(root / "selection.json", {"entries": entries, "candidates": candidates})

    def id(self, role: str, method: str) -> str:
        """Ids differ between versions."""
        return f"{role}-{method}-{self.version}"

    def folder(self, role: str, method: str) -> Path:
        """Of one run."""
        return self.root / "runs" / self.id(role, method)

    def _write_run(self, role: str, method: str) -> None:
        version = self.version
        folder = self.folder(role, method)
        asked = {
            "role": role, "method": method, "params": {"consistency": 0.1}, "labelled": 3, "subset": 0, "seed": 0,
            "protocol_version": version, "engine": {"validations": 2, "optimiser": {"learning_rate": 0.1}},
            "budget": {"steps": 4},
        }  # fmt: skip
        write(folder / "run.json", asked)
        seen = [
            {
                "validation": n,
                "step": 2 * n,
                "progress": n / 2,
                "device_seconds": version * n,
                "dice": {"LV": 0.5 + n / 7},
            }
            for n in (1, 2)
        ]
        result = {
            "run": folder.name, "status": "ok", "stage_steps": {"train": 4}, "images_seen": 16,
            "labelled_images_seen": 8, "parameters_training": 9, "parameters_predictor": 9, "validations": seen,
            "best_validation": 2,
        }  # fmt: skip
        write(folder / "result.json", result)
        prefix = "student" if version == 1 else "network"
        weights = {f"{prefix}.weight": torch.arange(6.0).reshape(2, 3) / 7, f"{prefix}.steps": torch.tensor(4)}
        torch.save({"method": weights, "best": {"weight": torch.ones(3) / 3}}, folder / "checkpoint.pt")
        if role == "final":
            rows = [{"checkpoint": "last", "case": f"case{n}", "class_name": "LV", "dice": n / 7, "hd95_mm": n / 3}
                    for n in (1, 2)]  # fmt: skip
            pd.DataFrame(rows).to_parquet(folder / "cases.parquet")


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_checkpoint(path: Path, part: str) -> None:
    content = torch.load(path, weights_only=True)
    flip_bit(next(iter(content[part].values())).view(-1))
    torch.save(content, path)


def change_dice(path: Path) -> None:
    cases = pd.read_parquet(path)
    first, second = cases["dice"]
    cases["dice"] = [first, next_float(second)]
    cases.to_parquet(path)


def change_validation(content: dict[str, Any]) -> None:
    content["validations"][0]["dice"]["LV"] = next_float(content["validations"][0]["dice"]["LV"])


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return Planted(tmp_path / "reference", version=1).root


@pytest.fixture
def current(tmp_path: Path) -> Planted:
    return Planted(tmp_path / "current", version=2)


def test_equal_numbers_under_other_names_ids_and_times_are_equal(
    reference: Path, current: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare("planted", *read_both(reference, current.root)) == []
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(METHODS) + 1
    assert all(": equal (" in line for line in lines)


PLANTED: dict[str, tuple[str, Callable[[Planted], None]]] = {
    "one bit of a weight": (
        "weights[0]",
        lambda records: change_checkpoint(records.folder("final", "ua_mt") / "checkpoint.pt", "method"),
    ),
    "one bit of a best weight": (
        "best_weights[0]",
        lambda records: change_checkpoint(records.folder("search", "mc_net") / "checkpoint.pt", "best"),
    ),
    "the last bit of a Dice": (
        "cases[last, case2, LV].dice",
        lambda records: change_dice(records.folder("final", "mc_net") / "cases.parquet"),
    ),
    "the last bit of a validation": (
        "validations[0].dice.LV",
        lambda records: change_json(records.folder("final", "ua_mt") / "result.json", change_validation),
    ),
    "no test cases": ("absent", lambda records: (records.folder("final", "ua_mt") / "cases.parquet").unlink()),
    "another choice": (
        "selection[ua_mt/0].trial",
        lambda records: change_json(
            records.root / "selection.json", lambda content: content["entries"][0].update(trial=None)
        ),
    ),
    "another trial": (
        "trials[1].varied.tau",
        lambda records: change_json(records.trials, lambda content: content["trials"][1]["varied"].update(tau=0.2)),
    ),
    "a trial less": (
        "trials.length",
        lambda records: change_json(records.trials, lambda content: content["trials"].pop()),
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_difference_is_named(reference: Path, current: Planted, case: str) -> None:
    name, plant = PLANTED[case]
    plant(current)
    (line,) = compare("planted", *read_both(reference, current.root))
    assert "DIFFERS" in line
    assert name in line


def test_a_hyper_parameter_that_one_tree_writes_down_is_said_and_no_difference(
    reference: Path, current: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in ("final", "search"):
        path = current.folder(role, "ua_mt") / "run.json"
        change_json(path, lambda content: content["params"].update(strong=False))
    assert compare("planted", *read_both(reference, current.root)) == []
    assert "ua_mt: written down by one tree alone: ['strong']" in capsys.readouterr().out


def test_another_value_of_a_hyper_parameter_is_another_run(reference: Path, current: Planted) -> None:
    path = current.folder("search", "ua_mt") / "run.json"
    change_json(path, lambda content: content["params"].update(consistency=0.2))
    assert len(compare("planted", *read_both(reference, current.root))) == 3  # absent from either, and from the trials


def test_a_missing_run_is_named(reference: Path, current: Planted) -> None:
    old, numbers = read_both(reference, current.root)
    (key,) = [key for key in numbers.runs if key.startswith("final mc_net")]
    fewer = SuiteNumbers({name: run for name, run in numbers.runs.items() if name != key}, numbers.search)
    assert compare("planted", old, fewer) == [f"planted: {key}: absent from the working tree"]
    assert compare("planted", fewer, old) == [f"planted: {key}: absent from the reference"]


@pytest.mark.parametrize("name", SUITES)
def test_the_suites_are_valid_here(name: str, tmp_path: Path) -> None:
    from harness.suite.load import load_suite

    path = tmp_path / f"{name}.yaml"
    path.write_text(SUITES[name])
    assert load_suite(str(path)).suite.name == name
