import subprocess
import sys

import pytest

from tests.support import command_environment

TRAP = "raise SystemExit('a foreign package was imported')\n"


@pytest.fixture
def foreign(tmp_path):
    for package, module in (("methods", "ua_mt"), ("benchmarks", "phantom")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(TRAP)
        (tmp_path / package / f"{module}.py").write_text(TRAP)
    return tmp_path


def run_in(folder, *command, **env):
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=command_environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


def assert_ours(listed):
    assert listed.returncode == 0, listed.stderr
    lines = {line.split()[0]: line.split() for line in listed.stdout.splitlines() if line}
    assert lines["ua_mt"][3:6] == ["1,813,764", "1,813,764", "methods/ua_mt.py"]
    assert "phantom" in lines


def test_a_search_path_with_the_folder_in_front_takes_ours(foreign):
    search_path = command_environment()["PYTHONPATH"]
    assert_ours(run_in(foreign, sys.executable, "-m", "harness", "list", PYTHONPATH=f"{foreign}:{search_path}"))


def test_a_program_that_imported_its_own_package_first_is_told_so(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").write_text("")
    program = "import methods, harness; harness.plan_suite('demo')"
    done = run_in(tmp_path, sys.executable, "-c", program)
    assert done.returncode == 1
    assert "a package 'methods' of another program" in done.stderr.splitlines()[-1]
    assert "import harness first" in done.stderr.splitlines()[-1]
