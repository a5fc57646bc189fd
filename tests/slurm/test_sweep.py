import sys

import pytest

from harness.records.suite_folder import SuiteFolder
from tests.search.tiny_search import make_search, search_inline
from tests.slurm.sweeps import python_that, submit, training
from tests.support import wait_until
from tests.train.tiny import processes_with

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("_ray")]


def spent_by_all(tiny):
    return [folder.ledger.spent() for folder in SuiteFolder(tiny.store).folders()]


def wait_until_it_is_queued_again(sweep, restarts):
    """Nothing of it runs any more, anywhere, and no run has lost a step."""
    sweep.cluster.wait_for_state(sweep.job, "PENDING")
    assert sweep.field("Restarts") == str(restarts), sweep.output
    # a preempted job is pending while its runs leave
    wait_until(lambda: not processes_with(str(sweep.tiny.root)), "all its processes have ended")
    assert [one.lost_steps for one in spent_by_all(sweep.tiny) if one.lost_steps] == [], sweep.output


def test_a_headline_search_over_two_nodes_is_that_of_one_process_whatever_interrupts_it(slurm, make_tiny, tmp_path):
    slow = tmp_path / "slow"
    slow.touch()
    method, budget = {"tiny_staged": {"slow_file": str(slow)}}, {"steps": 80}
    tiny, inline = (make_search(make_tiny, method, {"budget": budget}, budget=budget) for _ in range(2))

    sweep = submit(slurm, tiny, "--nodes=2", "--gres=gpu:1", "--partition=low")
    wait_until(lambda: len(training(tiny)) == len(slurm.nodes), lambda: f"each node trains\n{sweep.output}")
    sweep.warn()
    wait_until_it_is_queued_again(sweep, 1)
    assert sum(one.attempts for one in spent_by_all(tiny)) == 2, "a GPU is a token, and two were given"

    wait_until(lambda: len(training(tiny)) == len(slurm.nodes), lambda: f"each node trains\n{sweep.output}")
    slurm.run(
        "sbatch", "--partition=high", "--nodelist=node1", "--cpus-per-task=4", "--output=/dev/null", "--wrap=true"
    )
    wait_until_it_is_queued_again(sweep, 2)

    slow.unlink()
    assert sweep.end() == "COMPLETED 0", sweep.output
    assert "Traceback" not in sweep.output
    assert "harness track" in sweep.output
    search_inline(inline)
    for name in ("trials.json", "selection.json"):
        assert (tiny.store / name).read_bytes() == (inline.store / name).read_bytes()
    assert {one.lost_steps for one in spent_by_all(tiny)} == {0}
    assert not processes_with(str(tiny.root))
    assert [path.name for path in tiny.runs.iterdir()] == ["tiny"], "no address and no token stay behind"


def test_a_node_that_does_not_join_is_named(slurm, make_tiny, tmp_path):
    lazy = python_that(
        tmp_path,
        f'[[ $SLURMD_NODENAME == node2 ]] && {{ echo no disk on this node >&2; exit 1; }}\nexec {sys.executable} "$@"',
    )
    tiny = make_tiny({"tiny_short": {}}, budget={"steps": 4})
    sweep = submit(slurm, tiny, "--nodes=2", "--gres=gpu:1", VENV=str(lazy), JOIN_SECONDS="3")
    assert sweep.end() == "FAILED 69"
    assert "1 of 2 nodes are in the Ray at" in sweep.output
    assert "node2: no disk on this node" in sweep.output.splitlines()
    assert sweep.field("Restarts") == "0"
    assert not processes_with(str(tiny.root))
