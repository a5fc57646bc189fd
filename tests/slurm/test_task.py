import os
import signal
from functools import partial
from threading import Thread

import pytest

from harness.execution.outcome import MAX_STARTS
from harness.execution.session import open_session
from harness.slurm.record import Submissions
from harness.slurm.run import run_task
from harness.suite.load import load_suite
from harness.train.stop import StopFlag
from tests.cli.ground import write_suite
from tests.slurm.submissions import submission as tasks_of
from tests.support import wait_until

pytestmark = pytest.mark.slow


def submitted(tmp_path, steps):
    suite = write_suite(tmp_path, ("steps: 4", f"steps: {steps}"), ("seeds: [0]", "seeds: [0, 1]"), ("  ua_mt:\n", ""))
    session = open_session(load_suite(str(suite)), None, tmp_path / "runs")
    submission = tasks_of([run.id for run in session.plan.runs]).model_copy(
        update={"suite": session.plan.loaded.suite.hash, "cache": str(session.cache.folder), "checkpoint_seconds": 0.5}
    )
    Submissions(session.store.root).write(submission)
    return session, submission


def checkpoints(folder, attempt):
    return any(line.kind == "checkpoint" and line.attempt == attempt for line in folder.ledger.lines())


def test_a_run_that_dies_again_and_again_is_left_to_another_node(tmp_path):
    session, submission = submitted(tmp_path, steps=40)
    record = Submissions(session.store.root).path(submission)
    first, second = (session.folder(run) for run in session.plan.runs)

    def kill():
        for attempt in range(MAX_STARTS):
            wait_until(partial(checkpoints, first, attempt), "the first run trains")
            holder = first.lease.holder()
            os.kill(holder.pid, signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    assert run_task(record, 0, StopFlag()) == 71
    killer.join()
    assert (first.done, second.done) == (False, True)
    assert (first.ledger.lines()[-1].note or "").startswith("died on ")
    assert run_task(record, 0, StopFlag()) == 0
    result = first.require_result()
    assert (result.status, result.spent.useful_steps, result.spent.attempts) == ("ok", 40, 1 + MAX_STARTS)
