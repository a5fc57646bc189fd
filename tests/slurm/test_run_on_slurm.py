import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from harness.api.errors import UsageError
from harness.records.suite_folder import SuiteFolder
from harness.slurm.cluster import check_partitions
from harness.slurm.record import Submissions
from harness.slurm.run import submit_missing
from tests.cli.ground import write_suite
from tests.slurm.cluster import Cluster
from tests.slurm.submissions import cluster_of, session_of, write_cluster
from tests.support import cases_of, run_cli, wait_until

pytestmark = pytest.mark.slurm
DIFFERENT = ("device_seconds", "peak_memory", "allocation")
"""What depends on the machine and on who ran it."""
SEARCH = """\
search: {mode: headline, trials: 2, budget: {steps: 4}, labelled: 2, subset: 1, seed: 100, validations: 1}
"""


@dataclass(frozen=True)
class Ground:
    """A folder with a suite and a cluster file, in which commands are called as on a login node."""

    folder: Path
    slurm: Cluster
    env: Mapping[str, str | None]

    def harness(self, *args, code=0):
        on = ("--suite", "tiny.yaml") if args[0] in ("run", "plan") else ("runs/tiny",)
        done = run_cli(args[0], *on, *args[1:], cwd=self.folder, env=self.env, code=None)
        assert done.returncode == code, done.stdout + done.stderr + self.logs()
        return done

    def submit(self, code=0):
        options = ("--executor", "slurm", "--cluster", "mini.yaml", "--no-track", "--checkpoint-seconds", "0.5")
        return self.harness("run", *options, code=code)

    def accounted(self):
        """Whether sacct knows all attempts; every second must be explained."""
        self.harness("reconcile")
        found = self.store.reconciliation()
        return found is not None and not found.unreconciled

    @property
    def store(self):
        return SuiteFolder(self.folder / "runs" / "tiny")

    def submissions(self, kind):
        return [one for one in Submissions(self.store.root) if one.kind == kind]

    def logs(self):
        return "\n".join(path.read_text() for path in sorted((self.store.root / "slurm").glob("*.log")))

    def until(self, what):
        wait_until(what, self.logs)


@pytest.fixture
def ground(slurm, tmp_path, session_cache):
    write_cluster(tmp_path)
    return Ground(tmp_path, slurm, {"HARNESS_CACHE": str(session_cache), "HARNESS_DATA": None})


def numbers(store):
    """Planned run -> the weights, and what the test split said."""
    found = {}
    for entry in store.selection().entries:
        result = store.by_id(entry.run).require_result()
        found[str(entry.planned_run)] = result.weights_sha256, cases_of(store.by_id(entry.run)).to_csv()
    return found


def timeless(store):
    table = pd.read_csv(store.leaderboard / "leaderboard.csv")
    return table.drop(columns=[name for name in map(str, table) if name.startswith(DIFFERENT)])


def test_a_suite_is_submitted_interrupted_gone_on_with_and_equals_the_inline_one(ground):
    changes = (("steps: 4", "steps: 100"), ("seeds: [0]", "seeds: [0, 1]"), ("  ua_mt:", "  supervised_full:"))
    write_suite(ground.folder, *changes)
    planned = ground.harness("plan", "--executor", "slurm", "--cluster", "mini.yaml").stdout
    assert "#SBATCH --array=0-3%2" in planned
    assert not ground.store.root.exists()

    said = ground.submit().stderr
    (array,) = ground.submissions("tasks")
    assert f"job {array.job}: 4 runs in 4 tasks, at most 2 at once" in said
    runs = [ground.store.by_id(task[0]) for task in array.tasks]
    ground.slurm.run("scancel", array.task_of(3))
    ground.until(runs[0].checkpoint.exists)
    # as before a time limit; scancel repeats its signal when the job leaves because of it
    ground.slurm.run("bash", "-c", f"timeout 1 scancel --signal=USR1 --batch {array.task_of(0)} || true")
    last = next(str(entry.planned_run) for entry in ground.store.selection().entries if entry.run == runs[3].id)
    table = {line.split()[0]: line for line in ground.harness("status").stdout.splitlines()[1:]}
    assert f"job {array.task_of(3)} is gone" in table[last]

    ground.submit()
    ground.submit()  # everything is queued
    again = ground.submissions("tasks")[1]
    assert again.tasks == [[runs[3].id]]
    assert len(ground.submissions("tasks")) == 2
    ground.until(lambda: all(run.done for run in runs))
    ground.slurm.wait_for_state(ground.submissions("finish")[1].job or "")
    stopped = next(line for line in runs[0].ledger.lines() if line.kind == "end")
    assert "stopped by SIGTERM" in (stopped.note or ""), "the task passes the stop on to its runs"
    assert (ground.store.leaderboard / "index.html").exists(), ground.logs()
    assert "4 done" in ground.harness("status").stderr
    assert ground.submit().stdout  # the table
    assert ground.harness("cancel").stderr == "nothing of this suite waits or runs\n"
    assert len(ground.submissions("tasks")) == 2
    ground.until(ground.accounted)
    found = ground.store.reconciliation()
    attempts = sum(run.ledger.spent().attempts for run in runs)
    assert sum(len(one.attempts) for one in found.allocations) == attempts >= 5, "one was stopped and started again"
    for one in found.allocations:
        assert one.seconds.total == pytest.approx(one.allocated)

    inline = ground.folder / "inline"
    ground.harness("run", "--executor", "inline", "--runs", str(inline), "--no-track")
    assert numbers(ground.store) == numbers(SuiteFolder(inline / "tiny"))
    pd.testing.assert_frame_equal(timeless(ground.store), timeless(SuiteFolder(inline / "tiny")), check_exact=True)


def test_after_a_search_the_cluster_goes_on_to_the_finals_by_itself(ground):
    suite = write_suite(ground.folder, ("  ua_mt:\n", ""))
    suite.write_text(suite.read_text() + SEARCH)
    assert "it makes the selection and submits the finals" in ground.submit().stderr
    ground.until(lambda: len(ground.submissions("finish")) == 2)
    ground.until((ground.store.leaderboard / "index.html").exists)
    selection = json.loads(ground.store.selection_path.read_text())
    assert selection["rule"] == "best_validation"
    assert len(numbers(ground.store)) == 1


def test_cancel_stops_this_suite_alone(ground):
    write_suite(ground.folder, ("steps: 4", "steps: 100000"))
    other = ground.slurm.run("sbatch", "--parsable", "-o", "/dev/null", "--wrap", "sleep 300").strip()
    ground.submit()
    (array,) = ground.submissions("tasks")
    runs = [ground.store.by_id(task[0]) for task in array.tasks]
    ground.until(lambda: all(run.checkpoint.exists() for run in runs))
    (finish,) = ground.submissions("finish")
    assert ground.harness("cancel").stderr == f"cancelled 2 jobs: {array.job}, {finish.job}\n"
    ground.until(lambda: not any(run.lease.held() for run in runs))
    assert ground.slurm.state(other) == "RUNNING"
    for run in runs:
        spent = run.ledger.spent()
        assert (spent.attempts, spent.lost_steps) == (1, 0)


def test_real_limits_and_real_refusals(slurm, tmp_path, phantoms):
    with pytest.raises(UsageError, match="time: partition main ends jobs after 60 minutes"):
        check_partitions(cluster_of(tmp_path, "time: 2:00:00\npartition: main\n"))
    session = session_of(tmp_path, phantoms)
    for text, field in (
        ("gpus: 1\ngpu_type: h200x\n", "gpu_type: Slurm refuses: "),
        ("memory: 900G\n", "cpus: Slurm refuses: "),
        ("constraint: nowhere\n", "constraint: Slurm refuses: "),
        ("account: nobody\n", "account: Slurm refuses: "),
        ("qos: nowhere\n", "qos: Slurm refuses: "),
    ):
        loaded = cluster_of(tmp_path, f"time: 5\nrun_time: 2\n{text}")
        with pytest.raises(UsageError, match=field):
            submit_missing(session, loaded)
        assert list(Submissions(session.store.root)) == []
