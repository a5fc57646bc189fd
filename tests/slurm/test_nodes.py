"""A real Slurm that takes nodes away, and one of whose nodes fails what it gets. A shell script is Python."""

from functools import partial
from pathlib import Path

import pytest

from harness.data.prepare import resolve
from harness.records.reader import SuiteRecords
from harness.records.status import read_status
from harness.slurm.nodes import ask_ends
from harness.slurm.record import Submissions
from harness.slurm.run import submit_missing
from harness.slurm.script import Batch
from harness.slurm.view import SuiteWatch
from harness.suite.registry import load_dataset
from tests.slurm.cluster import Cluster
from tests.slurm.submissions import cluster_of, session_of, stand_in, submission
from tests.support import wait_until

pytestmark = pytest.mark.slurm


def cluster_text(tmp_path: Path, python: str, more: str) -> str:
    (tmp_path / "venv").mkdir()
    stand_in(tmp_path / "venv" / "bin", "python", python)
    return f"time: 5\nmemory: 100M\nvenv: {tmp_path}/venv\n{more}"


def test_tasks_and_the_dependent_job_come_back_after_preempt_mode_cancel(slurm: Cluster, tmp_path: Path):
    """The task checkpoints and leaves with 75; the dependent job is killed."""
    python = (
        f'[ -z "$SLURM_RESTART_COUNT" ] || exit 0\n[ $# = 5 ] || trap "exit 75" USR1\ntouch {tmp_path}/began-$#\n'
        "while :; do sleep 0.1; done"
    )
    cluster = cluster_of(tmp_path, cluster_text(tmp_path, python, "partition: lowcancel\n")).cluster
    submissions = Submissions(tmp_path / "runs" / "tiny")
    submissions.folder.mkdir(parents=True)
    array, finish = (
        Batch(submissions, each, cluster) for each in (submission(["u"]), submission(name="tiny-finish-1"))
    )
    jobs = []
    for name, text in (("array", array.array_text()), ("finish", finish.dependent_text())):
        (tmp_path / name).write_text(text)
        jobs.append(slurm.run("sbatch", "--parsable", tmp_path / name).strip())
    wait_until(lambda: all((tmp_path / f"began-{count}").exists() for count in (5, 6)), "both run")
    slurm.run("sbatch", "--partition=high", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=sleep 1")
    for job in jobs:
        slurm.wait_for_state(job, "COMPLETED")
        assert " Restarts=1 " in slurm.run("scontrol", "--oneliner", "show", "job", job)


def are_over(job: str) -> bool:
    return [end.at < 1e12 for end in ask_ends([job])] == [True] * 4


def test_a_node_that_failed_several_tasks_is_named_and_gets_no_more(slurm: Cluster, tmp_path: Path):
    python = '[ "$SLURMD_NODENAME" = node1 ] && exit 127\nsleep 2'
    more = "run_time: 2\ncpus: 3\nmax_parallel: 2\nfinish: null\n"
    loaded = cluster_of(tmp_path, cluster_text(tmp_path, python, more))
    session = session_of(tmp_path, resolve(load_dataset("phantom"), None))
    records = SuiteRecords(session.store)
    nodes: list[set[str]] = []
    for _ in range(2):
        submit_missing(session, loaded)
        job = list(Submissions(session.store.root))[-1].job
        assert job is not None
        wait_until(partial(are_over, job), "its tasks have ended")
        nodes.append({end.node for end in ask_ends([job])})
        said = SuiteWatch().merge(read_status(records), records)[1][0]
        assert said.startswith("node node1 failed ")
        assert "exit code 127); it gets no more of this suite within a day" in said
    assert nodes == [{"node1", "node2"}, {"node2"}]
