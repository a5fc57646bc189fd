import pytest

from tests.support import command_environment, run_cli

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
