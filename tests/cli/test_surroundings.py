import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.api.errors import UsageError
from harness.data.local import local_home
from harness.doctor import examine
from harness.execution.process import parent_and_allowance
from harness.records.manifest import cache_home
from harness.records.owner import Owner
from harness.records.variables import path_of
from tests.support import LIMIT_SECONDS, REPO, command_environment


@pytest.mark.parametrize("text", ["~/cache", "${HOME}/cache"])
def test_paths_of_variables_are_expanded(text, monkeypatch):
    monkeypatch.setenv("HOME", "/scratch/ann")
    for name in ("HARNESS_CACHE", "HARNESS_LOCAL_DATA", "HARNESS_RUNS"):
        monkeypatch.setenv(name, text)
    assert {cache_home(), local_home(), path_of("HARNESS_RUNS")} == {Path("/scratch/ann/cache")}


@pytest.mark.parametrize("text", ["$NOWHERE_SET/x", "~nobody_of_that_name/x"])
def test_a_path_that_cannot_be_expanded_makes_no_folder(text, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", text)
    with pytest.raises(UsageError, match=r"HARNESS_CACHE=.*write the path out"):
        cache_home()
    monkeypatch.setenv("HARNESS_CACHE", "")
    assert cache_home() == Path.home() / ".cache" / "harness"


def test_the_doctor_says_what_no_folder_can_be_made_in(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        found = next(each for each in examine(None, tmp_path / name / "runs", None) if each.what == "disk")
        assert (found.state, found.text) == ("bad", f"{tmp_path / name} is not a directory; choose another --runs")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("HARNESS_DRIVER", text) for text in ("abc", "0")),
        ("SLURM_RESTART_COUNT", "x"),
        ("HARNESS_ALLOWANCE", "nan"),
    ],
)
def test_a_variable_that_is_no_number_is_one_line(name, text, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv(name, text)
    asks = parent_and_allowance if name in ("HARNESS_PARENT", "HARNESS_ALLOWANCE") else Owner.this
    with pytest.raises(UsageError, match=f"^{name}={text}: not a .*number"):
        asks()


def test_nobody_who_reads_on_is_no_error(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-P", "-m", "harness", "list"]
    env = command_environment({"PYTHONPATH": str(REPO)})
    done = subprocess.run(
        command, env=env, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=LIMIT_SECONDS
    )
    os.close(writer)
    assert (done.returncode, b"Traceback" in done.stderr, b"BrokenPipe" in done.stderr) == (0, False, False)
