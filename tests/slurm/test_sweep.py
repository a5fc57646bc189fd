"""slurm/sweep.sh on a real Slurm: over nodes, through signals and preemption, and what it leaves behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from harness.store import RunStore
from tests.search.tiny_search import make_search, search_inline
from tests.slurm.cluster import Cluster
from tests.slurm.sweeps import submit, training
from tests.support import require
from tests.train.fixtures import MakeTiny
from tests.train.tiny import processes_with, wait_for

pytestmark = pytest.mark.slurm

STEPS = 80


@pytest.fixture(autouse=True, scope="module")
def _ray() -> None:
    installed = all(importlib.util.find_spec(name) is not None for name in ("ray", "optuna"))
    require("ray", installed, "Ray Tune or Optuna is not installed")


def test_a_headline_search_over_two_nodes_is_that_of_one_process_whatever_interrupts_it(
    slurm: Cluster, make_tiny: MakeTiny, tmp_path: Path
) -> None:
    """First the warning before a time limit, then preemption without grace: the same points, selection and weights."""
    slow = tmp_path / "slow"
    slow.touch()
    tiny, inline = (
        make_search(
            make_tiny, {"tiny_staged": {"slow_file": str(slow)}}, {"budget": {"steps": STEPS}}, budget={"steps": STEPS}
        )
        for _ in range(2)
    )
    sweep = submit(slurm, tiny, "--nodes=2", "--gres=gpu:1", "--partition=low")
    wait_for(lambda: len(training(tiny)) == 2, seconds=240)
    sweep.warn()
    slurm.wait_for_state(sweep.job, "PENDING", seconds=120)
    print(sweep.output)
    spent = [folder.ledger.spent() for folder in RunStore(tiny.store).folders()]
    print(spent)
    assert sum(one.attempts for one in spent) == 2
    assert all(one.lost_steps == 0 for one in spent)
    assert not processes_with(str(tiny.root))

    wait_for(lambda: len(training(tiny)) == 2, seconds=240)
    slurm.run(
        "sbatch", "--partition=high", "--nodelist=node1", "--cpus-per-task=4", "--output=/dev/null", "--wrap=true"
    )
    slurm.wait_for_state(sweep.job, "PENDING", seconds=120)
    print(sweep.output)
    spent = [folder.ledger.spent() for folder in RunStore(tiny.store).folders()]
    print(spent)
    assert all(one.lost_steps == 0 for one in spent)

    slow.unlink()
    assert sweep.end() == "COMPLETED 0", sweep.output
    assert sweep.field("Restarts") == "2"
    print(sweep.output)
    assert "Traceback" not in sweep.output
    search_inline(inline)
    for name in ("points.json", "selection.json"):
        assert (tiny.store / name).read_bytes() == (inline.store / name).read_bytes()
