from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from harness.records.run_folder import RunFolder
from tests.methods.staged import SMALL, SMALL_PP
from tests.train.deaths import Moment, killed_at
from tests.train.fixtures import MakeTiny
from tests.train.test_run import assert_same_numbers, result_of
from tests.train.tiny import Tiny, train

pytestmark = pytest.mark.slow

STEPS = 12
"""2 of the global stage, 2 of the local one, 8 of fine-tuning."""

DEATHS = (Moment("global", 1), Moment("local", 1), Moment("anatomical"), Moment("anatomical", 5))
RESUMED_AT = [0, 1, 3, 4, 9]
"""Step from which each attempt goes on.

There is a checkpoint at every validation, and here a validation after every step.
"""

PARAMS: Mapping[str, Mapping[str, object]] = {
    "action": {**SMALL, "student_temperature": {"family": "linear", "start": 1.0, "end": 0.1}},
    "action_pp": SMALL_PP,
}
EXACT = ("method", "optimiser", "generators", "sampler", "validations", "best", "best_validation", "images_seen")


def suite(make_tiny: MakeTiny, method: str, validations: int, **budget: float) -> Tiny:
    engine = {"validations": validations, "warmup_steps": 0}
    return make_tiny({method: PARAMS[method]}, budget=budget, engine=engine)


def assert_same(mine: Any, theirs: Any, where: str) -> None:
    assert type(mine) is type(theirs), where
    if isinstance(mine, torch.Tensor):
        assert torch.equal(mine, theirs), where
    elif isinstance(mine, dict):
        assert mine.keys() == theirs.keys(), where
        for name in mine:
            if name != "device_seconds":  # of a validation: CPU time differs from run to run
                assert_same(mine[name], theirs[name], f"{where}/{name}")
    elif isinstance(mine, list | tuple):
        assert len(mine) == len(theirs), where
        for number, pair in enumerate(zip(mine, theirs, strict=True)):
            assert_same(*pair, f"{where}/{number}")
    else:
        assert mine == theirs, where


def checkpoint_of(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder.checkpoint, weights_only=True)
    return content


@pytest.mark.parametrize("method", ["action", "action_pp"])
def test_killed_in_every_stage_it_ends_as_if_nothing_had_happened(method: str, make_tiny: MakeTiny):
    planned_run = f"{method}/2/0/0"
    whole, killed = (suite(make_tiny, method, validations=STEPS, steps=STEPS) for _ in range(2))
    train(whole, planned_run)
    folder, other = killed.folder(planned_run), whole.folder(planned_run)
    for moment in DEATHS:
        assert killed_at(killed, planned_run, moment) == -9
        assert not folder.done
    train(killed, planned_run)
    starts = [line.base_steps for line in folder.ledger.lines() if line.kind == "start"]
    assert starts == RESUMED_AT
    assert result_of(folder).stage_steps == {"global": 2, "local": 2, "anatomical": 8}
    assert_same_numbers(folder, other)
    mine, theirs = checkpoint_of(folder), checkpoint_of(other)
    for name in EXACT:
        assert_same(mine[name], theirs[name], name)
    assert_state_of_interest(mine["method"])
    assert_temperatures(method, folder.history())
    arrays = [one.path / "arrays.npz" for one in (folder, other)]
    assert [path.exists() for path in arrays] == [method == "action_pp"] * 2
    if method == "action_pp":
        assert arrays[0].read_bytes() == arrays[1].read_bytes()
        validations = [validation.diagnostics for validation in result_of(folder).validations]
        assert validations == [validation.diagnostics for validation in result_of(other).validations]
        assert all({"assignment/0", "similarity/2/1"} <= shown.keys() for shown in validations)


def assert_state_of_interest(state: Mapping[str, torch.Tensor]) -> None:
    """What was compared is not empty: banks and a queue that wrapped, prototypes of every planned run."""
    for name, steps in (("whole", 4), ("local", 2)):
        assert int(state[f"{name}.bank.enqueued"]) == 4 * steps > len(state[f"{name}.bank.entries"])
    if "queue.labels" in state:
        assert (state["queue.labels"] >= 0).all()
        assert int(state["queue.enqueued"]) > len(state["queue.labels"])
        assert (state["allocation.prototypes"].norm(dim=1) > 0.99).all()


def assert_temperatures(method: str, history: pd.DataFrame) -> None:
    """Those of every step, before and after each death, follow the stage's progress by their formula."""
    for stage, step in (("global", 2), ("local", 2), ("anatomical", 8)):
        rows = history[history["stage"] == stage]
        shares = np.arange(step) / step
        assert rows["progress_stage"].to_numpy() == pytest.approx(shares)
        wave = 0.5 * (1.0 + np.cos(2.0 * np.pi * shares))
        if method == "action":
            taus = {"anatomical": 0.5 + 0.0 * shares} if stage == "anatomical" else {"student": 1.0 - 0.9 * shares}
        elif stage == "anatomical":
            taus = dict.fromkeys(("anatomical", "supervised"), 0.1 + 0.9 * wave)
        else:
            taus = {"student": 0.1 + 0.9 * wave, "teacher": 0.01 + 0.99 * wave}
        for name, expected in taus.items():
            assert rows[f"schedule/temperature_{name}"].to_numpy() == pytest.approx(expected, rel=1e-5)
