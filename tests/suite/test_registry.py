import pytest

from harness.api.errors import UsageError
from harness.api.method import Method
from harness.suite.registry import (
    dataset_sources,
    load_dataset,
    load_method,
    load_methods,
    method_sources,
)
from tests.support import REPO
from tests.train.tiny import install, write_metadata

METHOD = """
from harness.api.method import Method

class Base(Method):
    def training_loss(self, batch, stage, progress): ...
    predictor = property(lambda self: self.net)
    def __init__(self, task, params): super().__init__(task)

class Good(Base):
    name = "good"

"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def package(site, module, text, methods="", datasets="", name="extra"):
    (site / f"{module}.py").write_text(text)
    groups = {"harness.methods": methods, "harness.datasets": datasets}
    points = "".join(f"[{group}]\n{lines}\n" for group, lines in groups.items() if lines)
    write_metadata(site, points, name)


def test_every_file_of_methods_and_benchmarks_is_found():
    methods = {path.stem for path in (REPO / "methods").glob("[a-z]*.py")}
    assert {"supervised", "supervised_full", "ua_mt", "mc_net"} <= methods == method_sources().keys()
    for name in methods:
        kind = load_method(name)
        assert issubclass(kind, Method)
        assert kind.name == name
        assert kind.__module__ == f"methods.{name}", "a method that another one imports is not taken for it"
    datasets = {path.stem for path in (REPO / "benchmarks").glob("[a-z]*.py")}
    assert {"acdc", "phantom"} <= datasets == dataset_sources().keys()
    assert {load_dataset(name).name for name in datasets} == datasets


def test_an_installed_packages_entry_points_are_found(site):
    install(site)
    assert method_sources()["tiny_staged"].origin == "tiny-plugin (tiny_plugin:Staged)"
    assert load_method("tiny_staged").__module__ == "tiny_plugin"
    assert load_dataset("tiny_squares").classes == ("background", "bright", "dim")
    assert "ua_mt" in method_sources()


def test_finding_imports_nothing(site):
    package(site, "explosive", "raise SystemExit('imported')", "boom = explosive:Boom")
    assert method_sources()["boom"].target == "explosive:Boom"


def test_a_name_that_is_taken_twice_is_refused_with_both_origins(site):
    package(site, "second_ua", METHOD, "ua_mt = second_ua:Good")
    with pytest.raises(UsageError, match=r"'ua_mt' is defined twice.*methods/ua_mt\.py.*extra \(second_ua:Good\)"):
        load_method("ua_mt")
    assert load_method("supervised").name == "supervised"


BROKEN = {
    "import sys\nsys.exit(3)": r"cannot be imported: SystemExit: 3 \(MODULE\.py:2\)",
    "def f():\n    raise KeyError('x')\nf()": r"cannot be imported: KeyError: 'x' \(MODULE\.py:2\)",
    METHOD
    + "class Bad(Base):\n    name = 'bad'\n    def __init__(self, task): ...": r"Bad\.__init__ must take \(self, ta",
    METHOD + "class Bad(Method):\n    name = 'bad'\n    def __init__(self, task, params): ...": (
        r"Bad does not define predictor and training_loss"
    ),
}


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_broken_plug_in_is_refused_where_it_is_used_and_harms_no_other(number, site):
    """Modules have names of their own: Python remembers a failed import no more, but a good one."""
    text, said = list(BROKEN.items())[number]
    module = f"broken_{number}"
    package(site, module, text, f"bad = {module}:Bad")
    with pytest.raises(UsageError, match=rf"extra \({module}:Bad\): {said.replace('MODULE', module)}"):
        load_method("bad")
    methods, broken = load_methods()
    assert list(broken) == ["bad"]
    assert "ua_mt" in {kind.name for kind in methods}


def test_a_datasets_cache_does_not_depend_on_what_else_is_installed(site):
    from harness.data.locate import cache_name

    install(site)
    before = cache_name(load_dataset("tiny_squares"), None)
    (site / "neighbour").mkdir()
    (site / "neighbour" / "code.py").write_text("x = 1\n")
    assert cache_name(load_dataset("tiny_squares"), None) == before
