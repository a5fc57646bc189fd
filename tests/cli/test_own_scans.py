"""Own scans through the command line: from a folder to a table, a page and an audit. And the how-to that says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.data.raw_format import write_folder
from tests.support import REPO, run_cli

SUITE = """\
name: own
dataset: {prepared: atria}
preprocessing: {size: [16, 16, 16]}
labelled: [2, 7]
seeds: [0]
methods: {supervised: , supervised_full: , ua_mt: }
budget: {steps: 20}
engine: {batch_size: 4, validations: 1, window_stride: [16, 16, 16]}
"""
TEN = [f"p{number:02}" for number in range(10)]


@pytest.mark.slow
def test_from_a_folder_to_a_table(tmp_path: Path) -> None:
    raw = write_folder(tmp_path / "Dataset501_Atria", {"Tr": TEN, "Un": ["u1", "u2"]}, channels=("T1", "CT"))
    (tmp_path / "own.yaml").write_text(SUITE)
    env = {"HARNESS_CACHE": str(tmp_path / "cache"), "HARNESS_DATA": None}

    def call(*args: str | Path, code: int = 0) -> str:
        done = run_cli(*args, cwd=tmp_path, env=env)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    assert "unknown dataset 'atria'" in call("plan", "--suite", "own.yaml", code=64)
    said = call("data", "prepare", "--from", raw)
    assert "dataset: {prepared: atria}" in said
    assert "2 of 9 training patients have no labels" in said
    assert "prepared" in call("data", "list")
    assert "6 to run" not in call("plan", "--suite", "own.yaml")
    assert "2 test patients of atria" in call("run", "--suite", "own.yaml", "--executor", "inline", "--no-track")
    assert "not held" not in call("audit", "runs/own")
    page = (tmp_path / "runs/own/leaderboard/index.html").read_text()
    assert "training patients have no labels" in page
    assert (tmp_path / "runs/own/leaderboard/curves.csv").read_text().count("\n") > 3
    (tmp_path / "own.yaml").write_text(SUITE.replace("[2, 7]", "[8]"))
    assert "labelled.0: 8 labelled patients: atria has labels of 7 tr" in call("plan", "--suite", "own.yaml", code=64)
    call("data", "verify", tmp_path / "cache/prepared/atria")
    call("data", "prepare", "acdc", "--from", raw, "--seed", "1", code=64)
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert "the split lists of atria v1 are not known here" in call("audit", "runs/own")
    assert "own: 20 steps a run" in call("leaderboard", "runs/own")


def test_the_how_to_speaks_of_options_that_there_are() -> None:
    text = (REPO / "docs/how-to/own-scans.md").read_text(encoding="utf-8")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    known = "".join(run_cli(*verb, "--help").stdout for verb in (("data", "prepare"), ("run",), ("predict",)))
    assert len(options) >= 5
    assert {option for option in options if option not in known} == set()
