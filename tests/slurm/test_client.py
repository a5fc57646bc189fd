"""Every way in which a command of Slurm's fails is one message and one kind of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.api.errors import HarnessError, ServiceError, UsageError
from harness.slurm.client import SlurmRefusedError, ask, ask_table
from tests.slurm.submissions import path_with, stand_in


def failure(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, seconds: float = 20.0) -> HarnessError:
    stand_in(folder, "sbatch", script)
    monkeypatch.setenv("PATH", path_with(folder))
    with pytest.raises(HarnessError) as caught:
        ask("sbatch", "job.sh", seconds=seconds)
    return caught.value


def test_what_it_prints_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "squeue", 'echo "$1|$(cat)"; echo; echo "b|"')
    monkeypatch.setenv("PATH", path_with(tmp_path))
    assert ask("squeue", "-h") == "-h|\n\nb|\n"
    assert ask_table("squeue", "-h") == [["-h", ""], ["b", ""]]


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="squeue is not on the PATH: Slurm is not installed here"):
        ask("squeue")


def test_a_silent_controller_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(tmp_path, monkeypatch, "exec sleep 60", seconds=0.2)
    assert isinstance(error, ServiceError)
    assert "has not answered" in str(error)
    assert "it is not known whether the job was taken, `harness run` again finds out" in str(error)


def test_what_steers_another_job_reaches_no_batch_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("sbatch", "squeue"):
        stand_in(tmp_path, command, 'echo "$SBATCH_TIMELIMIT|$SLURM_JOB_ID|$SLURM_CONF|$OTHER"')
    monkeypatch.setenv("PATH", path_with(tmp_path))
    for name in ("SBATCH_TIMELIMIT", "SLURM_JOB_ID", "SLURM_CONF", "OTHER"):
        monkeypatch.setenv(name, name.lower())
    assert ask("sbatch", "job.sh") == "||slurm_conf|other\n"
    assert ask("squeue") == "|slurm_job_id|slurm_conf|other\n"


def test_a_command_that_cannot_run_is_a_missing_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "sbatch", "")
    (tmp_path / "sbatch").write_text("#!/nonexistent/shell\n")
    monkeypatch.setenv("PATH", path_with(tmp_path))
    with pytest.raises(ServiceError, match="cannot be run"):
        ask("sbatch")


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "sbatch: error: If munged is up, restart with --num-threads=10",
        "sbatch: fatal: Could not establish a configuration source",
    ],
)
def test_a_service_of_slurms_that_is_down_is_no_mistake_of_the_user(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failure(tmp_path, monkeypatch, f"echo '{said}' >&2; exit 1")
    assert isinstance(error, ServiceError)
    assert error.exit_code == 69


def test_a_refusal_is_told_in_slurms_words_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "echo 'sbatch: error: invalid partition specified: nope' >&2; "
        "echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; exit 1"
    )
    error = failure(tmp_path, monkeypatch, said)
    assert isinstance(error, UsageError)
    assert isinstance(error, SlurmRefusedError)
    assert error.message == (
        "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
    )


def test_a_failure_without_a_word_names_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(failure(tmp_path, monkeypatch, "exit 7")) == "sbatch: exit code 7 without a word"
