import os
from datetime import UTC, datetime

import pytest

from harness.api.errors import ServiceError
from harness.records.owner import Owner
from harness.records.reader import SuiteRecords
from harness.records.status import RunStatus, read_status
from harness.records.suite_folder import SuiteFolder
from harness.slurm.nodes import End
from harness.slurm.queue import QueueState, Task, ask_queue, ask_running_jobs, free_leases
from harness.slurm.record import Submissions
from harness.slurm.view import SuiteWatch, with_task
from tests.search.suites import plan_of, store_of
from tests.slurm.submissions import path_with, stand_in, submission
from tests.synthetic import NOTHING

SQUEUE = """\
tiny-tasks-1|0|56|55|RUNNING|node1|None|N/A
tiny-tasks-1|1|57|55|TIMEOUT|node2|TimeLimit|N/A
tiny-tasks-1|2|55|55|PENDING||JobArrayTaskLimit|N/A
tiny-finish-1|N/A|58|58|PENDING||Dependency|N/A
tiny-tasks-2|0|60|60|RUNNING|node2|None|N/A
"""
BEGUN = NOTHING.model_copy(update={"attempts": 1})
TO_RUN, INTERRUPTED = RunStatus("to run", NOTHING, 0), RunStatus("interrupted", BEGUN, 0)
ARRAY = submission(["a"], ["b"], ["c", "d"], ["e"])
FINISH = submission(name="tiny-finish-1", job="58")
SILENT = "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1"
TIMEOUT = End("5_0", "TIMEOUT", 0, 0, "n1", 0.0)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    folder = tmp_path / "commands"
    stand_in(folder, "squeue", f"echo \"$@\" >> {tmp_path}/asked\ncat <<'E'\n{SQUEUE}E")
    monkeypatch.setenv("PATH", path_with(folder))
    return folder


def watched(store, watch=None):
    records = SuiteRecords(store)
    return (watch or SuiteWatch()).merge(read_status(records), records)


def asked(tmp_path):
    path = tmp_path / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_one_call_for_all_jobs_by_name(commands, tmp_path):
    queue = ask_queue([ARRAY, FINISH])
    (call,) = asked(tmp_path)
    assert "--name=tiny-finish-1,tiny-tasks-1 " in call
    assert queue == {
        ("tiny-tasks-1", 0): Task("56", "55", "RUNNING", "node1"),
        ("tiny-tasks-1", 1): Task("57", "55", "TIMEOUT", "node2", "TimeLimit"),
        ("tiny-tasks-1", 2): Task("55", "55", "PENDING", "", "JobArrayTaskLimit"),
        ("tiny-finish-1", None): Task("58", "58", "PENDING", "", "Dependency"),
    }
    assert ask_queue([]) == {}
    assert len(asked(tmp_path)) == 1


def test_a_job_of_the_same_name_but_another_id_is_somebody_elses(commands):
    assert ask_queue([submission(["a"], job="99")]) == {}


def test_runs_in_tasks_that_wait_or_run_are_not_missing(commands, tmp_path):
    runs = plan_of(tmp_path, {"search": None}).runs
    ids = [run.id for run in runs[:5]]
    array = submission(ids[:1], ids[1:2], ids[2:4], ids[4:5])
    queue = ask_queue([array])
    state = QueueState.of(runs[:6], [array], queue)
    assert state.queued == (runs[0], runs[2], runs[3])
    assert state.missing == (runs[1], runs[4], runs[5])  # timed out, forgotten, never submitted
    assert (state.arrays, state.followed) == (("55",), False)
    assert QueueState.of(runs[:6], [array, FINISH], ask_queue([array, FINISH])).followed
    held = QueueState.of(runs[:6], [array], queue, {runs[1].id})
    assert held.queued == (runs[0], runs[1], runs[2], runs[3])


@pytest.mark.parametrize(
    ("before", "task", "state", "note"),
    [
        (TO_RUN, Task("5", "5", "PENDING", "", "Priority"), "queued",
         "job 5_0 waits, Priority"),
        (RunStatus("running", BEGUN, 0, note="pid 3 on n1, heartbeat 2 s ago"), Task("5", "5", "RUNNING", "n1"),
         "running", "job 5_0 on n1, heartbeat 2 s ago"),
        (RunStatus("running", BEGUN, 0, note="pid 3"), Task("5", "5", "NODE_FAIL", "n1"), "interrupted",
         "job 5_0 is gone (NODE_FAIL)"),
        (TO_RUN, None, "to run", "job 5_0 is gone (TIMEOUT)"),
        (TO_RUN, Task("5", "5", "PENDING", "", "launch failed requeued held"), "queued",
         "job 5_0 is held, launch failed requeued held; scontrol release 5_0"),
        (INTERRUPTED, Task("5", "5", "COMPLETING", "n1", "", 601.0), "interrupted",
         "job 5_0 is gone (COMPLETING)"),
    ],
)  # fmt: skip
def test_a_run_is_where_its_task_is(before, task, state, note):
    after = with_task(before, "5_0", task, TIMEOUT)
    assert (after.state, after.note[: len(note)]) == (state, note)


def test_status_names_what_does_not_mend_itself(commands, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")  # no test's clock: squeue is asked for plain times
    plan = plan_of(tmp_path)
    store = store_of(tmp_path / "runs", plan)
    ids = [planned.run.id for planned in plan.trials]
    long_ago, now = "2026-11-02T10:00:00", datetime.now(UTC).astimezone().strftime("%Y-%m-%dT%H:%M:%S")
    lines = (
        "tiny-tasks-1|0|56|55|PENDING||JobHeldAdmin|N/A",
        "tiny-tasks-1|1|57|55|PENDING||launch failed requeued held|N/A",
        f"tiny-tasks-1|2|58|55|COMPLETING|n1|None|{long_ago}",
        f"tiny-tasks-1|3|59|55|COMPLETING|n1|None|{now}",
        f"tiny-finish-1|N/A|60|60|FAILED|n1|NonZeroExitCode|{now}",
    )
    stand_in(commands, "squeue", "cat <<'E'\n" + "\n".join(lines) + "\nE")
    stand_in(commands, "sacct", f"for i in 0 4 5; do echo \"55_$i|FAILED|127:0|n2|{now}\"; done; "
             f"echo '60|FAILED|64:0|n1|{now}'")  # fmt: skip
    Submissions(store.root).write(submission(*([run] for run in ids[:6])))
    Submissions(store.root).write(submission(name="tiny-finish-1", job="60", at="2030-01-01T00:00:00Z"))
    status, (node, stuck, held, finish) = watched(store)
    bad = "node n2 failed 55_0 (FAILED, exit code 127), 55_4 (FAILED, exit code 127), 55_5 (FAILED, exit code 127); "
    assert node.startswith(bad)
    assert stuck.startswith("job 55_2 has been COMPLETING on n1 for ")
    assert held == (
        "held (JobHeldAdmin, launch failed requeued held), and waiting for ever: once the cause is mended, "
        "scontrol release 55_0,55_1"
    )
    lost = f"the dependent job 60 ended: FAILED, exit code 64 on n1 ({store.root}/slurm/60.log); "
    assert finish.startswith(lost)
    assert [one.state for _, one in status.runs[:4]] == ["queued", "queued", "to run", "to run"]


def leave_lease(folder, **owner):
    folder.mkdir(parents=True, exist_ok=True)
    left = Owner.model_validate({"host": "another-node", "pid": os.getpid(), "start_ticks": 1, **owner})
    (folder / "lease").write_text(left.model_dump_json())
    return left


def test_the_lease_of_a_job_that_slurm_ended_is_free_at_once(commands, tmp_path, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_CLUSTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    stand_in(commands, "squeue", "echo '56|RUNNING'; echo '57|PENDING'; echo '55|COMPLETED'")
    stand_in(commands, "scontrol", "echo 'CliFilterPlugins = (null)'; echo 'ClusterName             = mini'")
    store = SuiteFolder(tmp_path / "tiny")
    for name, job in (("running", "56"), ("requeued", "57"), ("ended", "55"), ("forgotten", "12")):
        leave_lease(store.by_id(name).path, job=job, cluster="mini")
    leave_lease(store.by_id("no-job").path)
    left = [store.by_id(name) for name in ("running", "requeued", "ended", "forgotten", "no-job", "nobody")]
    assert {owner.job for owner in free_leases(left)} == {"57", "55", "12"}
    assert [folder.lease.held() for folder in left] == [True, False, False, False, True, False]


def test_a_job_that_squeue_does_not_show_may_live(commands, tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "mini")
    stand_in(commands, "squeue", "true")
    store = SuiteFolder(tmp_path / "tiny")
    leave_lease(store.by_id("elsewhere").path, job="55", cluster="other")
    leave_lease(store.by_id("unnamed").path, job="55")
    leave_lease(store.by_id("ours").path, job="55", cluster="mini")
    left = [store.by_id(name) for name in ("elsewhere", "unnamed", "ours")]
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: 4711)
        assert free_leases(left) == []
    assert [owner.cluster for owner in free_leases(left)] == ["mini"]
    assert [folder.lease.held() for folder in left] == [True, True, False]


def test_nobody_is_presumed_dead_while_slurm_does_not_answer(commands, tmp_path, monkeypatch):
    folder = SuiteFolder(tmp_path / "tiny").by_id("run")
    leave_lease(folder.path, job="56", cluster="mini")
    monkeypatch.setenv("SLURM_CLUSTER_NAME", "mini")
    stand_in(commands, "squeue", SILENT)
    assert free_leases([folder]) == []
    assert folder.lease.held()


def test_a_lease_that_changed_hands_stays(tmp_path):
    folder = SuiteFolder(tmp_path / "tiny").by_id("run")
    dead = leave_lease(folder.path, job="56")
    leave_lease(folder.path, job="60")
    folder.lease.remove_of(dead)
    holder = folder.lease.holder()
    assert holder is not None
    assert holder.job == "60"


def test_a_job_that_squeue_calls_invalid_is_gone(commands):
    stand_in(commands, "squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert ask_running_jobs(["12"]) == frozenset()
    stand_in(commands, "squeue", SILENT)
    with pytest.raises(ServiceError):
        ask_running_jobs(["12"])
