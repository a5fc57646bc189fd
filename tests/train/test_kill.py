import random
import signal
import time
from functools import partial

import pytest

from tests.support import LIMIT_SECONDS, wait_until
from tests.train.test_run import assert_same_numbers
from tests.train.tiny import lines_of, processes_with, train

pytestmark = pytest.mark.slow

STAGED = "tiny_staged/2/0/0"
PAUSED = {"tiny_staged": {"pause_seconds": 0.1}}
"""Half a second of CPU time that takes twelve seconds: time enough to be killed."""
STEPS = 120


@pytest.fixture(scope="module")
def uninterrupted(make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": STEPS})
    train(tiny, STAGED)
    return tiny


def trains(folder, attempt):
    return any(line.kind == "start" for line in lines_of(folder, attempt))


def test_kill_9_three_times_and_the_same_command_again(make_tiny, uninterrupted):
    tiny = make_tiny(PAUSED, budget={"steps": STEPS})
    folder = tiny.folder(STAGED)
    for attempt in range(3):
        process = tiny.start("train", STAGED, "--checkpoint-seconds", "0.2")
        wait_until(partial(trains, folder, attempt), "it trains", process=process)
        time.sleep(random.uniform(0.0, 0.6))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not folder.done
    assert tiny.start("train", STAGED, "--checkpoint-seconds", "0.2").wait(LIMIT_SECONDS) == 0, tiny.output
    assert_same_numbers(folder, uninterrupted.folder(STAGED))
    spent = folder.ledger.spent()
    assert spent.useful_steps == STEPS
    assert spent.lost_steps >= 0
    assert spent.attempts == 4
    assert spent == folder.require_result().spent
    seconds = [line.device_seconds for line in folder.ledger.lines() if line.kind == "end"]
    assert spent.useful_device_seconds >= max(seconds)
    assert folder.history()["step"].tolist() == list(range(STEPS))
    assert not list(folder.path.rglob(".*")), "what killed writers left"
    assert not processes_with(str(tiny.root))
