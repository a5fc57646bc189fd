import pytest

from tests.slurm.submissions import path_with, stand_in
from tests.slurm.sweeps import SWEEP, environment_of, python_that, submit
from tests.support import run_process, wait_until

SHORT = ("--gres=gpu:1", "--cpus-per-task=1")


@pytest.fixture
def tiny(make_tiny):
    return make_tiny({"tiny_short": {}}, budget={"steps": 4})


def run_sweep(tiny, changes):
    environment = environment_of(tiny, {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "1", **changes})
    return run_process("bash", SWEEP, env=environment, cwd=tiny.root)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"SLURM_JOB_ID": ""}, 64, "SUITE=demo sbatch slurm/sweep.sh"),
        ({"VENV": "/nowhere"}, 64, "/nowhere/bin/python is not there"),
        ({"VENV": "", "CONTAINER": "image.sif", "PATH": "/usr/bin:/bin"}, 64, "apptainer is not there"),
        ({"SLURM_JOB_NUM_NODES": "2", "RAY_TMPDIR": f"/tmp/{'x' * 40}"}, 64, "too long for Ray's sockets"),
    ],
)
def test_refused_at_once(changes, code, said, tiny):
    done = run_sweep(tiny, changes)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not tiny.store.exists()


@pytest.mark.slurm
def test_exit_codes_are_the_jobs_and_75_alone_starts_it_again_so_often(slurm, tiny, tmp_path):
    codes = {64: "FAILED 64", 70: "FAILED 70", 137: "FAILED 137", 0: "COMPLETED 0"}
    sweeps = {
        code: submit(slurm, tiny, *SHORT, VENV=str(python_that(tmp_path / str(code), f"exit {code}"))) for code in codes
    }
    left = submit(slurm, tiny, *SHORT, VENV=str(python_that(tmp_path / "75", "exit 75")), MAX_RESTARTS="1")
    for code, sweep in sweeps.items():
        assert sweep.end() == codes[code]
        assert sweep.field("Restarts") == "0"
    assert left.end() == "FAILED 75"
    assert left.field("Restarts") == "1"
    assert left.output.count("back into the queue") == 1, "the log is appended to"
    assert "runs are left after 1 restarts (MAX_RESTARTS)" in left.output


@pytest.mark.slurm
def test_a_cancelled_job_stays_cancelled(slurm, tiny, tmp_path):
    waits = python_that(tmp_path, "trap 'exit 75' TERM USR1\ntouch ready\nwhile :; do sleep 0.1; done")
    sweep = submit(slurm, tiny, *SHORT, VENV=str(waits))
    slurm.wait_for_state(sweep.job, "RUNNING")
    while not (tiny.root / "ready").exists():
        assert slurm.state(sweep.job) == "RUNNING", sweep.output
    slurm.run("scancel", sweep.job)
    wait_until(lambda: "the records are kept" in sweep.output, "the driver is told")
    assert "stopped by Slurm" in sweep.output
    assert sweep.end().startswith("CANCELLED")
    assert sweep.field("Restarts") == "0"


@pytest.mark.slurm
def test_what_is_run_with_all_variables_set(slurm, tiny, tmp_path):
    """No Apptainer is needed for that: one that says what it was asked for stands in its place."""
    data = tmp_path / "ACDC"
    data.mkdir()
    stand_in(tmp_path, "apptainer", 'echo "$@"')
    changes = {
        "PATH": path_with(tmp_path),
        "CONTAINER": "image.sif",
        "DATA": str(data),
        "HARNESS_CACHE": str(tmp_path / "kept"),
        "TRACKING": "http://login:5000",
        "EXTRA": "--retry-failed --no-panels",
    }
    sweep = submit(slurm, tiny, *SHORT, "--gres=gpu:2", **changes)
    assert sweep.end() == "COMPLETED 0"
    _, said = sweep.output.splitlines()
    assert said == (
        f"exec --nv --bind {tiny.runs},{data},{tmp_path}/kept image.sif python3 -m harness run --suite {tiny.suite} "
        f"--runs {tiny.runs} --executor ray --yes --data {data} --workers 2 "
        "--retry-failed --no-panels"
    )
