import importlib.util
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.records.schema import Result, Trial
from harness.search.proposals import TOLERANCE
from tests.execution.test_ray import alive, descendants
from tests.search.tiny_search import edit, make_search, search_inline, store_of, trials_of
from tests.support import LIMIT_SECONDS, require, wait_until
from tests.train.fixtures import MakeTiny
from tests.train.tiny import Tiny, processes_with

RAY = ("--executor", "ray", "--workers", "2", "--no-track", "--checkpoint-seconds", "0.3")


@pytest.fixture(autouse=True, scope="module")
def _ray() -> None:
    installed = all(importlib.util.find_spec(name) is not None for name in ("ray", "optuna"))
    require("ray", installed, "Ray Tune or Optuna is not installed")


def result_of(tiny: Tiny, trial: Trial) -> Result:
    return store_of(tiny).by_id(trial.run).require_result()


def test_headline_on_two_workers_is_the_search_of_one_process(make_tiny: MakeTiny, tmp_path: Path):
    deadly = {"die_before_step": 7, "deaths": 99, "tally": str(tmp_path / "doomed")}
    methods = {
        "tiny_mortal": {"params": {**deadly, "deaths": 1, "tally": str(tmp_path / "mortal")}},
        "tiny_doomed": {"params": deadly, "search": {"weight": None}},
    }
    tune, inline = (make_search(make_tiny, {}, {"budget": {"steps": 20}}) for _ in range(2))
    for tiny in (tune, inline):
        edit(tiny, methods=methods)
    process = tune.start("run", *RAY)
    seen: set[int] = set()
    while process.poll() is None:
        seen |= descendants(process.pid)
        time.sleep(0.2)
    assert process.returncode == 70, tune.output
    assert "Traceback" not in tune.output
    assert (tmp_path / "mortal").read_text() == "x", "it died, so it does not die inline"
    trial = trials_of(tune)[1]
    assert f"{trial}: failed: killed: its process died 2 times" in tune.output
    doomed = result_of(tune, trial)
    assert doomed.failure is not None
    assert (doomed.failure.kind, doomed.spent.attempts) == ("killed", 2), "started twice, then a row"
    inline.session()
    shutil.copytree(store_of(tune).by_id(doomed.run).path, store_of(inline).by_id(doomed.run).path, dirs_exist_ok=True)
    search_inline(inline)
    for name in ("trials.json", "selection.json"):
        assert (tune.store / name).read_bytes() == (inline.store / name).read_bytes()
    weights = {trial.run: result_of(inline, trial).weights_sha256 for trial in trials_of(inline)}
    assert {trial.run: result_of(tune, trial).weights_sha256 for trial in trials_of(tune)} == weights
    assert not processes_with(str(tune.root))
    wait_until(lambda: not alive(seen), "all its processes have ended")


TRIAL_SECONDS = 1.0
THOROUGH = os.environ.get("HARNESS_HYPOTHESIS") == "explore"
TRIALS = 4 if THOROUGH else 2
KILLS = (
    [signal.SIGKILL, signal.SIGKILL, signal.SIGUSR1, signal.SIGKILL] if THOROUGH else [signal.SIGKILL, signal.SIGUSR1]
)
ROWS = ("tiny_staged", "tiny_mortal")


def spent_seconds(tiny: Tiny, row: str) -> float:
    points = store_of(tiny).trials()
    own = [one.run for one in points.trials if one.entry == row] if points else []
    ledgers = [store_of(tiny).by_id(run).ledger.spent() for run in own]
    return sum(one.useful_device_seconds + one.lost_device_seconds for one in ledgers)


def spent_by_all(tiny: Tiny) -> float:
    return sum(spent_seconds(tiny, row) for row in ROWS)


def names(tiny: Tiny) -> list[str]:
    points = store_of(tiny).trials()
    return [f"{one} {one.run}" for one in points.trials] if points else []


def start_until_it_trains(tiny: Tiny) -> subprocess.Popen[str]:
    before = spent_by_all(tiny)
    process = tiny.start("run", *RAY)
    wait_until(lambda: spent_by_all(tiny) > before, "it trains", process=process)
    return process


def test_adaptive_with_kills_and_a_signal_spends_its_budget_and_loses_no_trial(make_tiny: MakeTiny):
    moments = random.Random()
    tiny = make_search(
        make_tiny,
        {row: {"pause_seconds": 0.002} for row in ROWS},
        {"mode": "adaptive", "trials": TRIALS, "budget": {"device_seconds": TRIAL_SECONDS}, "validations": 3},
        budget={"device_seconds": 0.2},
    )
    known: list[str] = []
    seen: set[int] = set()
    for kill in KILLS:
        process = start_until_it_trains(tiny)
        time.sleep(moments.uniform(0.0, 2.0))
        seen |= descendants(process.pid)
        process.send_signal(kill)
        code = process.wait(LIMIT_SECONDS)
        assert code in (75, 0) if kill == signal.SIGUSR1 else code == -signal.SIGKILL, tiny.output
        wait_until(lambda: not processes_with(str(tiny.root)), "all its processes have ended")
        assert names(tiny)[: len(known)] == known
        known = names(tiny)
    process = tiny.start("run", *RAY)
    while process.poll() is None:
        seen |= descendants(process.pid)
        time.sleep(0.5)
    assert process.returncode == 0, tiny.output
    assert "Traceback" not in tiny.output
    assert "its sampler seeded from their records" in tiny.output

    trials = trials_of(tiny)
    assert names(tiny)[: len(known)] == known, "no trial is lost"
    assert len({trial.run for trial in trials}) == len(trials)
    for row in ROWS:
        own = [trial for trial in trials if trial.entry == row]
        assert [trial.point for trial in own] == list(range(len(own)))
        results = [result_of(tiny, trial) for trial in own]
        assert {result.status for result in results} <= {"ok", "ended_early"}
        step, budget = max(result.longest_step_seconds for result in results), TRIALS * TRIAL_SECONDS
        assert budget * (1 - TOLERANCE) - step <= spent_seconds(tiny, row) <= budget * (1 + TOLERANCE) + step
    selection = store_of(tiny).selection()
    assert [one.trial for one in selection.candidates or []] == trials
    assert {one.trial.entry for one in selection.candidates or [] if one.chosen} == set(ROWS)
    assert not processes_with(str(tiny.root))
    wait_until(lambda: not alive(seen), "all its processes have ended")
