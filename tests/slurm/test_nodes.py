from functools import partial

import pytest

from harness.records.reader import SuiteRecords
from harness.records.status import read_status
from harness.slurm.nodes import ask_ends
from harness.slurm.record import Submissions
from harness.slurm.run import submit_missing
from harness.slurm.view import SuiteWatch
from tests.slurm.submissions import cluster_of, session_of
from tests.slurm.sweeps import python_that
from tests.support import wait_until

pytestmark = pytest.mark.slurm


def cluster_text(tmp_path, python, more):
    return f"time: 5\nmemory: 100M\nvenv: {python_that(tmp_path, python)}\n{more}"


def are_over(job, tasks=4):
    return [end.at < 1e12 for end in ask_ends([job])] == [True] * tasks


def test_a_node_that_failed_several_tasks_is_named_and_gets_no_more(slurm, tmp_path, phantoms):
    python = '[ "$SLURMD_NODENAME" = node1 ] && exit 127\nsleep 2'
    more = "run_time: 2\ncpus: 3\nmax_parallel: 2\nfinish: null\n"
    loaded = cluster_of(tmp_path, cluster_text(tmp_path, python, more))
    session = session_of(tmp_path, phantoms)
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
