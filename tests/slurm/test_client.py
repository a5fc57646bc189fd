from typing import get_args

import pytest

from harness.api.errors import HarnessError, ServiceError, UsageError
from harness.slurm.client import Command, ask, read_job
from tests.slurm.submissions import path_with, stand_in


def failure(folder, monkeypatch, script, seconds=20.0):
    stand_in(folder, "sbatch", script)
    monkeypatch.setenv("PATH", path_with(folder))
    with pytest.raises(HarnessError) as caught:
        ask("sbatch", "job.sh", seconds=seconds)
    return caught.value


def test_a_silent_controller_is_given_up(tmp_path, monkeypatch):
    error = failure(tmp_path, monkeypatch, "exec sleep 60", seconds=0.2)
    assert isinstance(error, ServiceError)
    assert "has not answered" in str(error)
    assert "it is not known whether the job was taken, the same command again finds out" in str(error)


def test_what_steers_another_job_reaches_no_batch_file(tmp_path, monkeypatch):
    for command in ("sbatch", "squeue"):
        stand_in(tmp_path, command, 'echo "$SBATCH_TIMELIMIT|$SLURM_JOB_ID|$SLURM_CONF|$OTHER"')
    monkeypatch.setenv("PATH", path_with(tmp_path))
    for name in ("SBATCH_TIMELIMIT", "SLURM_JOB_ID", "SLURM_CONF", "OTHER"):
        monkeypatch.setenv(name, name.lower())
    assert ask("sbatch", "job.sh") == "||slurm_conf|other\n"
    assert ask("squeue") == "|slurm_job_id|slurm_conf|other\n"


def test_all_commands_ask_the_same_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", path_with(tmp_path))
    monkeypatch.setenv("SLURM_CLUSTERS", "gpuland")
    for command in get_args(Command):
        stand_in(tmp_path, command, 'echo "$SLURM_CLUSTERS|$@"')
        assert ask(command, "x") == f"gpuland|{'--clusters=gpuland ' * (command == 'sacct')}x\n"
    for several in ("a,b", "all"):
        monkeypatch.setenv("SLURM_CLUSTERS", several)
        with pytest.raises(UsageError, match=f"SLURM_CLUSTERS={several} names several clusters"):
            ask("squeue")


@pytest.mark.parametrize(
    ("printed", "job"),
    [
        ("519605\n", "519605"),
        ("77;gpuland\n", "77"),
        ("----\n Welcome to 2 clusters\n12\n--> Verifying...OK\n519605\n", "519605"),
        ("Welcome\n12 nodes are down\n", None),
    ],
)
def test_the_job_is_the_last_line_that_is_a_number(printed, job):
    if job is not None:
        assert read_job(printed) == job
        return
    with pytest.raises(ServiceError, match="no job number but: Welcome 12 nodes are down; it is not"):
        read_job(printed)


def test_a_service_of_slurms_that_is_down_is_no_mistake_of_the_user(tmp_path, monkeypatch):
    said = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
    error = failure(tmp_path, monkeypatch, f"echo '{said}' >&2; exit 1")
    assert isinstance(error, ServiceError)
    assert error.exit_code == 69
