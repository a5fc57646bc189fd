import pytest
import yaml

from harness.scaffold import new_method, new_suite
from harness.suite.load import SUITES, load_suite
from tests.cli.ground import refuse
from tests.support import REPO, call_cli, run_cli, run_python
from tests.train.tiny import write_metadata

BROKEN = "import sys\nsys.exit(4)\n"
FAILING = """
from harness.api import Loss
from methods.supervised import Supervised

class Failing(Supervised):
    name = "failing"
    unit = False

    def training_loss(self, batch, stage, progress):
        return Loss(progress["teacher"])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("author")


@pytest.fixture(scope="module")
def search_path(folder):
    assert call_cli("new", "method", "my_idea", cwd=folder).stdout == "my_idea\n"
    site = folder / "my_idea" / "src"
    (site / "failing_plugin.py").write_text(FAILING)
    (site / "broken_plugin.py").write_text(BROKEN)
    pyproject = (folder / "my_idea" / "pyproject.toml").read_text()
    (line,) = [line for line in pyproject.splitlines() if line.startswith("my_idea = ")]
    points = [line.replace('"', ""), "failing = failing_plugin:Failing", "broken = broken_plugin:Broken"]
    write_metadata(site, "\n".join(["[harness.methods]", *points, ""]), "my-idea")
    return f"{site}:{REPO}"


def test_a_new_method_trains_beside_the_demo_s_methods_and_a_bad_one_harms_none(folder, search_path):
    env = {"PYTHONPATH": search_path}
    listed = run_cli("list", cwd=folder, env=env)
    assert {"my_idea", "ua_mt", "acdc"} <= {line.split()[0] for line in listed.stdout.splitlines() if line}
    said = (
        "broken cannot be used: my-idea (broken_plugin:Broken): cannot be imported: SystemExit: 4 (broken_plugin.py:2)"
    )
    assert said in listed.stderr
    text = yaml.safe_load((folder / "my_idea" / "my_idea_demo.yaml").read_text())
    text |= {"name": "own", "seeds": [0], "budget": {"steps": 4}, "methods": {"my_idea": None, "failing": None}}
    (folder / "own.yaml").write_text(yaml.safe_dump(text, sort_keys=False))
    run = run_cli("run", "--suite", "own.yaml", "--no-track", "--executor", "inline", cwd=folder, env=env, code=70)
    assert "`harness errors runs/own` prints their tracebacks" in run.stderr
    reason = "KeyError: 'teacher' in Failing.training_loss (failing_plugin.py:10)"
    assert f"failing/3/0/0: failed: error: {reason}" in run.stderr
    errors = call_cli("errors", "runs/own", cwd=folder)
    assert errors.stdout.startswith(f"failing/3/0/0\nerror: {reason}\nTraceback ")
    assert "failed: 1, for 1 reasons; " in errors.stderr


def test_the_new_package_passes_its_own_test(folder, search_path):
    env = {"PYTHONPATH": search_path, "OMP_NUM_THREADS": "1"}
    run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=folder / "my_idea", env=env, code=0)


def test_a_name_like_the_template_s_is_put_in_its_place_once(tmp_path):
    folder = new_method("my_method_2", tmp_path)
    assert "\nfrom my_method_2 import MyMethod2\n" in (folder / "tests" / "test_my_method_2.py").read_text()


def test_a_suite_may_have_its_name_behind_its_methods(tmp_path):
    first, _, rest = (SUITES / "demo.yaml").read_text().partition("name: demo\n")
    (tmp_path / "late.yaml").write_text(f"{first}{rest}name: late\n")
    suite = load_suite(new_suite("mine", ["urpc"], tmp_path, str(tmp_path / "late.yaml"))).suite
    assert (suite.name, list(suite.methods)[-1]) == ("mine", "urpc")


@pytest.mark.parametrize(
    ("what", "name", "more", "said"),
    [
        ("method", "ua_mt", (), "'ua_mt' is a method already (methods/ua_mt.py)"),
        ("method", "loss", (), "'loss' would name its class Loss, which its module imports; take another name"),
        ("method", "consistency", (), "would name its class ConsistencyParams"),
        ("method", "taken", (), "taken: exists already"),
        ("suite", "mine", ("--method", "supervised"), "has an entry 'supervised' already"),
        ("suite", "mine", ("--like", "demo4"), "unknown suite 'demo4'; did you mean 'demo'?"),
    ],
)
def test_bad_names_and_taken_places_are_refused(what, name, more, said, tmp_path):
    (tmp_path / "taken").mkdir()
    refuse("new", what, name, *more, code=64, named=(said,), unchanged=tmp_path)
