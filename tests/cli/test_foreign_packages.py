import sys

import pytest

from tests.support import command_environment, run_cli, run_python

TRAP = "raise SystemExit('a foreign package was imported')\n"


@pytest.fixture
def foreign(tmp_path):
    for package, module in (("methods", "ua_mt"), ("benchmarks", "phantom")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(TRAP)
        (tmp_path / package / f"{module}.py").write_text(TRAP)
    return tmp_path


def test_a_search_path_with_the_folder_in_front_takes_ours(foreign):
    search_path = f"{foreign}:{command_environment()['PYTHONPATH']}"
    listed = run_cli("list", cwd=foreign, env={"PYTHONPATH": search_path})
    lines = {line.split()[0]: line.split() for line in listed.stdout.splitlines() if line}
    assert lines["ua_mt"][3:6] == ["1,813,764", "1,813,764", "methods/ua_mt.py"]
    assert "phantom" in lines


def test_a_program_that_imported_its_own_package_first_is_told_so(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "__init__.py").write_text("")
    done = run_python("-c", "import methods, harness; harness.plan_suite('demo')", cwd=tmp_path)
    assert done.returncode == 1
    assert "a package 'methods' of another program" in done.stderr.splitlines()[-1]
    assert "import harness first" in done.stderr.splitlines()[-1]


def test_a_python_without_the_packages_is_named(tmp_path):
    code = "import sys; sys.modules['torch'] = None; from harness.cli import main; main(['list', '--method', 'ua_mt'])"
    done = run_python("-c", code, cwd=tmp_path, code=69)
    assert done.stderr.startswith(f"error: torch is not installed for {sys.executable}; `make venv`")
