import logging
from pathlib import Path

import pytest

from harness.api.errors import UsageError
from harness.cli.cluster import report_slurm_run
from harness.pipeline import submit_suite
from harness.records.calibration import StageCost
from harness.records.suite_folder import SuiteFolder
from harness.slurm.calibration import run_calibration_job
from harness.slurm.record import Submissions
from harness.slurm.run import run_dependent_job
from harness.train import calibrate as calibrating
from tests.cli.ground import write_suite
from tests.slurm.submissions import stand_in_slurm, write_cluster

REFERENCE = ("{steps: 4}", "{reference_steps: 40}")
RECORDED = Submissions(Path("runs/tiny"))
COST = StageCost(name="train", pairs=((0.01, 0.005),) * 10, start=(0.0,))


def measured(_unit, runs, _cache, _stop):
    """In the place of a fresh process: each step costs half a supervised one of 0.01 s, and the start nothing."""
    for _ in runs:
        yield (COST,)


@pytest.fixture
def ground(tmp_path, monkeypatch):
    write_suite(tmp_path, REFERENCE)
    write_cluster(tmp_path, "time: 5\nmemory: 500M\nrun_time: 2\nruns_at_once: 2\n")
    stand_in_slurm(tmp_path, "PartitionName=main MaxTime=01:00:00\n", monkeypatch)
    monkeypatch.setattr(calibrating, "_in_fresh_process", measured)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def submit(**options):
    return submit_suite("tiny.yaml", cluster="mini.yaml", **options)


def submissions(kind):
    return [each for each in RECORDED if each.kind == kind]


def record(submission):
    return RECORDED.path(submission)


def sent():
    return Path("sent").read_text().splitlines()


def queue_of(*waiting):
    Path("queue").write_text("".join(f"{job.name}|N/A|{job.job}|{job.job}|PENDING||None|\n" for job in waiting))


def test_a_calibration_and_the_job_that_plans_after_it(ground, caplog):
    caplog.set_level(logging.INFO, "harness")
    done = submit()
    assert caplog.messages[-2:] == [
        "job 1: measures what a step of each entry costs",
        "job 2 follows: it plans and submits the runs",
    ]
    assert (done.calibration, done.over, report_slurm_run(done)) == ("1", False, 0)
    assert caplog.messages[-2].endswith("the steps of each run are known after calibration, by job 1")
    (calibration,), (finish,) = submissions("calibrate"), submissions("finish")
    assert [line.split()[1:-1] for line in sent()] == [[], ["--dependency=afterany:1"]]
    text = record(calibration).with_suffix(".sh").read_text()
    assert "#SBATCH --mem=500M\n" in text, "what one run asks for"
    assert "--array" not in text
    assert f"slurm-task {record(calibration).resolve()} &" in text
    store = SuiteFolder(Path("runs/tiny"))
    assert (list(store.folders()), store.selection_path.exists()) == ([], False)
    queue_of(calibration, finish)
    assert submit().calibration == "1"
    assert len(sent()) == 2, "both wait"
    queue_of(calibration)
    submit()
    assert "--dependency=afterany:1 " in sent()[2], "the second one was refused, or its submitter died"


def test_the_jobs_measure_and_submit_what_an_inline_run_would(ground):
    submit()
    run_calibration_job(record(submissions("calibrate")[0]))
    done = run_dependent_job(record(submissions("finish")[0]))
    assert done is not None
    assert (done.queued, done.missing, done.calibration) == (2, 0, None)
    (array,) = submissions("tasks")
    assert array.runs == [run.id for run in done.session.plan.runs]
    steps = {run.method: run.budget.stages[0].steps for run in done.session.plan.runs if run.budget.stages}
    assert steps == {"supervised": 40, "ua_mt": 80}
    assert "--dependency=afterany:3 " in sent()[3], "the leaderboard comes after the array"
    run_calibration_job(record(submissions("calibrate")[0]))  # requeued for nothing
    assert submit().queued == 2


def test_without_what_it_should_have_measured_nothing_is_submitted(ground):
    submit()
    with pytest.raises(UsageError, match=r"runs/tiny: is not calibrated yet"):
        run_dependent_job(record(submissions("finish")[0]))
    assert len(sent()) == 2
