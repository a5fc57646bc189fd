import os
import random
import signal
import time

import pytest

from harness.search.proposals import TOLERANCE
from tests.execution.test_ray import alive, descendants
from tests.search.tiny_search import make_search, store_of, trials_of
from tests.support import LIMIT_SECONDS, wait_until
from tests.train.tiny import processes_with

RAY = ("--executor", "ray", "--workers", "2", "--no-track", "--checkpoint-seconds", "0.3")


pytestmark = pytest.mark.usefixtures("_ray")


def result_of(tiny, trial):
    return store_of(tiny).by_id(trial.run).require_result()


TRIAL_SECONDS = 1.0
THOROUGH = os.environ.get("HARNESS_HYPOTHESIS") == "explore"
TRIALS = 4 if THOROUGH else 2
KILLS = (
    [signal.SIGKILL, signal.SIGKILL, signal.SIGUSR1, signal.SIGKILL] if THOROUGH else [signal.SIGKILL, signal.SIGUSR1]
)
ROWS = ("tiny_staged", "tiny_mortal")


def spent_seconds(tiny, row):
    points = store_of(tiny).trials()
    own = [one.run for one in points.trials if one.entry == row] if points else []
    ledgers = [store_of(tiny).by_id(run).ledger.spent() for run in own]
    return sum(one.useful_device_seconds + one.lost_device_seconds for one in ledgers)


def spent_by_all(tiny):
    return sum(spent_seconds(tiny, row) for row in ROWS)


def names(tiny):
    points = store_of(tiny).trials()
    return [f"{one} {one.run}" for one in points.trials] if points else []


def start_until_it_trains(tiny):
    before = spent_by_all(tiny)
    process = tiny.start("run", *RAY)
    wait_until(lambda: spent_by_all(tiny) > before, "it trains", process=process)
    return process


def test_adaptive_with_kills_and_a_signal_spends_its_budget_and_loses_no_trial(make_tiny):
    moments = random.Random()
    tiny = make_search(
        make_tiny,
        {row: {"pause_seconds": 0.002} for row in ROWS},
        {"mode": "adaptive", "trials": TRIALS, "budget": {"device_seconds": TRIAL_SECONDS}, "validations": 3},
        budget={"device_seconds": 0.2},
    )
    known: list[str] = []
    seen = set()
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
