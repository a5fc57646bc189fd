import shutil
import subprocess
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from harness.cli import cli
from harness.records.suite_folder import SuiteFolder
from tests.support import require


def completed(*words: str) -> list[str]:
    *before, last = words
    return [item.value for item in ShellComplete(cli, {}, "harness", "_X").get_completions(before, last)]


def test_verbs_suites_and_folders_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    SuiteFolder.create(Path("runs/mine"))
    assert completed("lea") == ["leaderboard"]
    assert "--explain" in completed("leaderboard", "--e")
    assert completed("plan", "--suite", "acdc_min")[:1] == ["acdc_mini"]
    assert "runs/mine" in completed("status", "runs/")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_shell_has_a_script(shell: str):
    shown = CliRunner().invoke(cli, ["completion", shell])
    assert shown.exit_code == 0
    assert f"_HARNESS_COMPLETE={shell}_complete" in shown.stdout


def test_bash_reads_its_script():
    require("bash", shutil.which("bash") is not None, "no bash")
    script = CliRunner().invoke(cli, ["completion"], env={"SHELL": "/bin/bash"}).stdout
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, "_HARNESS_COMPLETE=bash_complete" in script) == (0, True)


def test_an_unknown_shell_is_refused():
    refused = CliRunner().invoke(cli, ["completion"], env={"SHELL": "/bin/tcsh"})
    assert "$SHELL is tcsh; name one of bash, zsh, fish" in str(refused.exception)
