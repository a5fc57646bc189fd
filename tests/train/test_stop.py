import signal
import subprocess
import sys

import pytest

from harness.train.stop import StopFlag
from tests.support import command_environment

PAIRS = 20_000
STRESS = """
import os, signal, sys, time
from harness.train.stop import SIGNALS, StopFlag

stop = StopFlag()
print("ready", flush=True)
pid, pairs = os.getpid(), int(sys.argv[1])
sender = os.fork()
if sender == 0:  # two signals close together, again and again, while the parent looks at the flag
    for _ in range(pairs):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGUSR1)
        time.sleep(0.0001)  # the kernel would make one signal of many
    os._exit(0)
seen = 0
while os.waitpid(sender, os.WNOHANG) == (0, 0):
    seen += stop.is_set()
    stop.wait(0.0001)
    stop.set("the training thread")
print("alive", stop.is_set(), seen > 0, flush=True)
"""


@pytest.mark.slow
def test_twenty_thousand_pairs_of_signals_never_lock_the_process():
    """A handler that takes a lock waits for ever once a second signal interrupts it inside."""
    code = STRESS.replace("stop = StopFlag()", "stop = StopFlag()\nstop.install()")
    done = subprocess.run(
        [sys.executable, "-c", code, str(PAIRS)],
        env=command_environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["ready", "alive True True"]


@pytest.mark.parametrize(
    ("numbers", "retired"),
    [
        ((signal.SIGUSR2, signal.SIGTERM), True),
        ((signal.SIGTERM, signal.SIGUSR2), False),
    ],
)
def test_a_trial_is_retired_by_usr2_alone_and_first(numbers, retired):
    stop = StopFlag()
    with stop.on_signals():
        for number in numbers:
            signal.raise_signal(number)
    assert stop.is_set()
    assert stop.reason == numbers[0].name
    assert stop.retired is retired
