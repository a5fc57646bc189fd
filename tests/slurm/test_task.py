import logging
import os
import signal
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from harness.api.errors import RecordError, UsageError
from harness.execution.outcome import MAX_STARTS
from harness.execution.session import Session, open_session
from harness.records.run_folder import RunFolder
from harness.slurm.record import Submission, Submissions
from harness.slurm.run import run_task
from harness.slurm.script import Batch
from harness.suite.load import load_suite
from harness.train.stop import StopFlag
from tests.cli.ground import write_suite
from tests.search.suites import end
from tests.slurm.submissions import cluster_of
from tests.support import LIMIT_SECONDS, wait_until

pytestmark = pytest.mark.slow

submitit = pytest.importorskip("submitit")
LOCALLY = """\
export SLURM_ARRAY_JOB_ID=55 SLURM_ARRAY_TASK_ID=0
scontrol() { [ "$1" = requeue ] && exit 144; echo JobState=RUNNING; }  # 144: what submitit's own requeue exits with
"""


def submitted(tmp_path: Path, steps: int) -> tuple[Session, Submission]:
    suite = write_suite(tmp_path, ("steps: 4", f"steps: {steps}"), ("seeds: [0]", "seeds: [0, 1]"), ("  ua_mt:\n", ""))
    session = open_session(load_suite(str(suite)), None, tmp_path / "runs")
    submission = Submission(
        name="tiny-tasks-1",
        job="55",
        kind="tasks",
        suite=session.plan.loaded.suite.hash,
        cluster="c" * 64,
        cache=str(session.cache.folder),
        tasks=[[run.id for run in session.plan.runs]],
        runs_at_once=1,
        checkpoint_seconds=0.5,
        panels=None,
    )
    Submissions(session.store.root).write(submission)
    return session, submission


def checkpoints(folder: RunFolder, attempt: int) -> bool:
    return any(line.kind == "checkpoint" and line.attempt == attempt for line in folder.ledger.lines())


def test_a_task_that_is_killed_signalled_and_requeued_loses_nothing_but_what_came_after_a_checkpoint(tmp_path: Path):
    session, submission = submitted(tmp_path, steps=40)
    submissions = Submissions(session.store.root)
    script = tmp_path / "batch.sh"
    script.write_text(LOCALLY + Batch(submissions, submission, cluster_of(tmp_path, "time: 60\n").cluster).array_text())
    executor = submitit.LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=60)
    controller = executor._submit_command(f"bash {script}")._process
    first, second = (session.folder(run) for run in session.plan.runs)
    try:
        wait_until(lambda: checkpoints(first, 0), "the first run writes a checkpoint")
        holder = first.lease.holder()
        assert holder is not None
        os.kill(holder.pid, signal.SIGKILL)
        wait_until(lambda: checkpoints(first, 1), "the killed run is started again")
        controller.send_signal(signal.SIGTERM)  # which submitit passes on, as Slurm does
        assert controller.wait(LIMIT_SECONDS) == 0
    finally:
        controller.kill()
    for folder, attempts in ((first, 3), (second, 1)):
        result = folder.require_result()
        assert (result.status, result.spent.useful_steps, result.spent.attempts) == ("ok", 40, attempts)
        assert not folder.lease.path.exists()
    stopped = [line for line in first.ledger.lines() if line.kind == "end" and line.attempt == 1]
    assert "SIG" in (stopped[0].note or "")
    assert run_task(submissions.path(submission), 0, StopFlag()) == 0


def test_a_run_that_dies_again_and_again_is_left_to_another_node(tmp_path: Path):
    session, submission = submitted(tmp_path, steps=40)
    record = Submissions(session.store.root).path(submission)
    first, second = (session.folder(run) for run in session.plan.runs)

    def kill() -> None:
        for attempt in range(MAX_STARTS):
            wait_until(partial(checkpoints, first, attempt), "the first run trains")
            holder = first.lease.holder()
            assert holder is not None
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


def test_a_task_that_is_done_is_left_alone_and_a_failed_run_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    session, submission = submitted(tmp_path, steps=4)
    record = Submissions(session.store.root).path(submission)
    caplog.set_level(logging.INFO)
    first, second = (session.folder(run) for run in session.plan.runs)
    end(first, dice=0.5)
    end(second, status="failed")
    assert run_task(record, 0, StopFlag()) == 70
    assert caplog.messages == ["task 0 of tiny-tasks-1: everything is done"]


def test_a_task_asked_to_stop_before_it_began_starts_nothing(tmp_path: Path):
    session, submission = submitted(tmp_path, steps=4)
    stop = StopFlag()
    stop.set("SIGUSR1")
    assert run_task(Submissions(session.store.root).path(submission), 0, stop) == 75
    assert not any(session.folder(run).log.exists() for run in session.plan.runs)


def test_a_task_or_record_that_is_not_there_is_told(tmp_path: Path):
    session, submission = submitted(tmp_path, steps=4)
    record = Submissions(session.store.root).path(submission)
    with pytest.raises(UsageError, match="has 1 tasks, numbered from 0; there is no 1"):
        run_task(record, 1, StopFlag())
    with pytest.raises(RecordError, match="no such submission"):
        run_task(record.with_name("none.json"), 0, StopFlag())
