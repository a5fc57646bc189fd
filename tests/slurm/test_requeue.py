import pytest

from harness.records.accounts import Seconds
from tests.slurm.cluster import Cluster
from tests.slurm.runs import Jobs
from tests.support import wait_until
from tests.train.fixtures import MakeTiny, make_tiny, one_thread, plugin_folder
from tests.train.tiny import train

pytestmark = pytest.mark.slurm
__all__ = ["make_tiny", "one_thread", "plugin_folder"]

PLANNED_RUN = "tiny_staged/2/0/0"


def test_a_requeued_run_loses_nothing_and_every_second_is_accounted_for(slurm: Cluster, make_tiny: MakeTiny):
    suite = {"tiny_staged": {"pause_seconds": 0.1}}
    jobs = Jobs(slurm, make_tiny(suite, budget={"steps": 120}))
    job = jobs.submit(PLANNED_RUN)
    jobs.wait_until_it_trains(PLANNED_RUN, attempt=0, steps=30)
    slurm.run("scontrol", "requeue", job)
    wait_until(lambda: jobs.done(PLANNED_RUN), lambda: f"it is done\n{jobs.output}")
    slurm.wait_for_state(job, "COMPLETED")
    accounts = ("sacct", "-X", "-D", "-n", "-P", "-j", job, "-o", "State")
    wait_until(lambda: slurm.run(*accounts).split() == ["REQUEUED", "COMPLETED"], "both runs are in the accounts")

    code, found = jobs.reconcile()
    assert code == 0, jobs.output
    assert found.unreconciled == []
    assert [one.state for one in found.allocations] == ["REQUEUED", "COMPLETED"]
    assert [[attempt.attempt for attempt in one.attempts] for one in found.allocations] == [[0], [1]]
    assert {(one.currency, one.devices, one.gres) for one in found.allocations} == {("GPU", 1, "gpu")}
    for one in found.allocations:
        assert one.seconds.total == pytest.approx(one.allocated)
        assert abs(one.seconds.unexplained) <= one.tolerated_seconds
    seconds = Seconds.summed(one.seconds for one in found.allocations)
    assert seconds.useful > 120 * 0.1
    assert seconds.start_up > 1

    processes = [line.process for line in jobs.folder(PLANNED_RUN).ledger.lines() if line.process is not None]
    assert [(one.job, one.restarts, one.gres, one.gpu_uuid) for one in processes] == [
        (job, 0, "gpu:1", None),
        (job, 1, "gpu:1", None),
    ]
    undisturbed = train(make_tiny({"tiny_staged": {"pause_seconds": 0.0}}, budget={"steps": 120}), PLANNED_RUN)
    result = jobs.folder(PLANNED_RUN).require_result()
    assert result.weights_sha256 == undisturbed.weights_sha256
    assert (result.spent.useful_steps, result.spent.lost_steps) == (120, 0)
