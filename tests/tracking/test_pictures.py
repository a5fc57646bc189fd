"""A unit's pictures are drawn for its run alone, by whoever is given to draw them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.report.centers import draw_unit
from harness.tracking import track_store
from tests.support import run_cli
from tests.tracking.view import SMALL, UNITS, runs, small_suite


def test_pictures_are_drawn_into_the_run_of_their_unit_and_nowhere_else(desk: Path) -> None:
    store = small_suite(desk, replace(SMALL, centers=frozenset({"ua_mt"})))
    said: list[str] = []
    track_store(store, None, said.append, draw_unit)
    found = {
        (run.tags.get("method"), run.tags.get("seed")): {path.name for path in run.artifacts.glob("*")}
        for run in runs(desk / "mlflow.db").values()
    }
    assert {"centers.png", "arrays.npz"} <= found["ua_mt", "0"]
    assert sum("centers.png" in names for names in found.values()) == 1  # the other unit of ua_mt failed
    assert not store.leaderboard.exists()
    assert track_store(store, None, said.append, draw_unit).kept == UNITS
    assert said == []


def test_the_command_line_brings_the_pencil(desk: Path) -> None:
    small_suite(desk, replace(SMALL, centers=frozenset({"ua_mt"})))
    done = run_cli("track", "--suite", "phantom_small", "--runs", desk / "runs", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert len(list((desk / "mlartifacts").rglob("centers.png"))) == 1
