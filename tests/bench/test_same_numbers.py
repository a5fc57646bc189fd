"""The comparison of two trees, on planted records of either."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from harness.suite.load import load_suite
from tests.bench.same_numbers import compare, suite_numbers
from tests.bench.same_suites import SUITES


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def plant(root: Path, version: int) -> Path:
    """Records of a final run and its trial by one version of the code, whose ids, names and times are its own."""
    for role in ("final", "search"):
        folder = root / "runs" / f"{role}-{version}"
        params: dict[str, Any] = {"consistency": 0.1} | ({"strong": None} if version > 1 else {})
        write(
            folder / "run.json",
            {"role": role, "method": "ua_mt", "params": params,
             "labelled": 3, "subset": 0, "seed": 0, "protocol_version": version, "budget": {"steps": 4},
             "engine": {"optimiser": {"learning_rate": 0.1}}},
        )  # fmt: skip
        seen = [{"step": 2, "device_seconds": version, "dice": {"LV": 0.5 + 1 / 7}}]
        write(
            folder / "result.json",
            {"status": "ok", "stage_steps": {"train": 4}, "images_seen": 16, "labelled_images_seen": 8,
             "parameters_training": 9, "parameters_predictor": 9, "validations": seen, "best_validation": 0},
        )  # fmt: skip
        state = {f"net{version}.weight": torch.arange(6.0).reshape(2, 3) / 7, f"net{version}.steps": torch.tensor(4)}
        torch.save({"method": state, "best": {"weight": torch.ones(3) / 3}}, folder / "checkpoint.pt")
    rows = [{"checkpoint": "last", "case": f"case{n}", "class_name": "LV", "dice": n / 7} for n in (1, 2)]
    pd.DataFrame(rows).to_parquet(root / "runs" / f"final-{version}" / "cases.parquet")
    return root


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    return plant(tmp_path / "reference", 1), plant(tmp_path / "current", 2)


def test_other_names_ids_and_times_are_equal(trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("planted", *map(suite_numbers, trees)) == []
    assert capsys.readouterr().out.count(": equal (") == 2


def change_weight(root: Path) -> None:
    path = root / "runs" / "final-2" / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    next(iter(content["method"].values())).view(-1).view(torch.int32)[0] ^= 1
    torch.save(content, path)


def change_dice(root: Path) -> None:
    path = root / "runs" / "final-2" / "cases.parquet"
    cases = pd.read_parquet(path)
    cases["dice"] = [1 / 7, math.nextafter(2 / 7, 1)]
    cases.to_parquet(path)


def change_json(file: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def rewrite(root: Path) -> None:
        content = json.loads((root / file).read_text())
        change(content)
        write(root / file, content)

    return rewrite


PLANTED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a bit of a weight": ("weights[0]", change_weight),
    "the last bit of a Dice": ("cases[last, case2, LV].dice", change_dice),
    "a validation": (
        "validations[0].dice.LV",
        change_json("runs/search-2/result.json", lambda raw: raw["validations"][0]["dice"].update(LV=0.5)),
    ),
    "no test cases": ("absent", lambda root: (root / "runs" / "final-2" / "cases.parquet").unlink()),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_difference_is_named(trees: tuple[Path, Path], case: str) -> None:
    name, change = PLANTED[case]
    change(trees[1])
    (line,) = compare("planted", *map(suite_numbers, trees))
    assert "DIFFERS" in line
    assert name in line


def test_another_value_of_a_hyper_parameter_is_another_run(trees: tuple[Path, Path]) -> None:
    change_json("runs/search-2/run.json", lambda raw: raw["params"].update(consistency=0.2))(trees[1])
    bad = compare("planted", *map(suite_numbers, trees))
    assert ["absent from the working tree" in bad[0], "absent from the reference" in bad[1]] == [True, True]


@pytest.mark.parametrize("name", SUITES)
def test_the_suites_are_valid_here(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(SUITES[name])
    assert load_suite(path).suite.name == name
