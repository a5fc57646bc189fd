"""A run's stored figures go along with it, whatever its method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.tracking.view import RUNS, SMALL, runs, small_suite, track


def test_figures_lie_in_the_mirrored_run_of_their_training_and_nowhere_else(desk: Path) -> None:
    store = small_suite(desk, replace(SMALL, centers=frozenset({"ua_mt"})))
    track(store)
    mirrored = {
        (run.tags.get("method"), run.tags.get("seed")): {
            path.relative_to(run.artifacts) for path in run.artifacts.rglob("*.*")
        }
        for run in runs(desk / "mlflow.db").values()
    }
    assert {Path("figures/centers.png"), Path("arrays.npz")} <= mirrored["ua_mt", "0"]
    assert (
        sum(Path("figures/centers.png") in names for names in mirrored.values()) == 1
    )  # the other run of ua_mt failed
    assert track(store).kept == RUNS
