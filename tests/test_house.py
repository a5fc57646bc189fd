import ast
import graphlib
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

import harness.api
from tests.support import REPO, require, run_python

# A room imports only rooms of a strictly lower floor.
FLOORS = {
    "harness": -1.0,
    "harness.api": 0.0,
    "harness.stats": 0.0,
    "harness.records": 1.0,
    "harness.suite": 2.0,
    "harness.data": 3.0,
    "harness.evaluation": 4.0,
    "harness.train": 5.0,
    "harness.execution": 6.0,
    "harness.prediction": 6.0,
    "harness.search": 7.0,
    "harness.slurm": 8.0,
    "harness.reconcile": 9.0,
    "harness.leaderboard": 9.0,
    "harness.audit": 10.0,
    "harness.report": 11.0,
    "harness.check": 11.0,
    "harness.tracking": 11.0,
    "harness.doctor": 12.0,
    "harness.scaffold": 12.0,
    "harness.licences": 12.0,
    "harness.templates": 12.0,
    "harness.pipeline": 12.0,
    "harness.cli": 13.0,
    "harness.__main__": 14.0,
}
OURS = ("harness", "methods", "benchmarks")
HEAVY = frozenset({"torch", "ray", "mlflow", "monai"})
MAX_FILE_LINES = 400
MAX_FILE_BYTES = 1_000_000
SCAN_SUFFIXES = (".h5", ".hdf5", ".nii", ".nii.gz", ".nrrd", ".mhd", ".dcm", ".npy", ".npz", ".pt", ".pth", ".ckpt")
FORBIDDEN_WORDS = {
    "arm": "entry, cell",
    "beyond noise": "significant",
    "breach": "violation, not held",
    "breaches": "violations",
    "ceiling": "fully supervised reference",
    "hierarchical": "t-interval over subset means",
    "labeller": "pseudo_label_network",
    "outlook": "dry run",
    "runner": "trainer, process pool",
    "standing": "queue state",
    "within noise": "not significant",
}
MACHINE_TRACES = re.compile(
    r"(?<![\w.}])/(?:work|root|opt/(?:wheels|pypi)|tmp/w|home/\w+|Users/\w+)(?![\w-])"
    r"|pypi\.org|pythonhosted|download\.pytorch|registry\.npmjs|deb\.debian|anaconda\.org"
    r"|index-url|find-links|file:///"
)


def imported(tree):
    """Pairs of module and name that code imports, at any depth; no name for `import a`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from ((node.module, alias.name) for alias in node.names)


def room(module):
    """The room of one of our dotted names: harness.api.errors -> harness.api, methods.shared.distance -> methods."""
    parts = module.split(".")
    if parts[0] != "harness" or module == "harness.__version__":
        return parts[0]
    return ".".join(parts[:2])


def violations(module, source):
    """Imports in `source`, the text of `module`, that the house forbids."""
    here = room(module)
    names = [f"{other}.{name}".removesuffix(".") for other, name in imported(ast.parse(source))]
    theirs = [name for name in names if name.split(".")[0] in OURS and room(name) != here]
    if here in {"methods", "benchmarks"}:
        allowed = {"harness.api"}
    elif here == "harness":
        allowed = {"harness.pipeline"}  # whose functions it offers, without importing them by itself
    else:
        allowed = {other for other, floor in FLOORS.items() if floor < FLOORS[here]}
    return [f"{module} imports {name}" for name in theirs if room(name) not in allowed]


def module_name(path):
    """harness/api/errors.py -> harness.api.errors, a package's __init__ -> the package."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@cache
def files():
    """Everything that is or would be committed, relative to the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    require("git", listing.returncode == 0, "not a git checkout")
    return tuple(Path(name) for name in listing.stdout.split("\0") if name and (REPO / name).is_file())


def sources():
    return [path for path in files() if path.parts[0] in OURS and path.suffix == ".py"]


def test_imports_run_downward():
    found = [
        line for path in sources() for line in violations(module_name(path), (REPO / path).read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("harness.api.errors", "from harness.records import SuiteFolder", True),
        ("harness.suite", "def later():\n    from harness import data", True),
        ("harness.suite.registry", "import methods.ua_mt", True),  # the registry discovers, nobody names
        ("methods.ua_mt", "from harness.evaluation.metrics import dice", True),
        ("methods.ua_mt", "import torch\nfrom harness.api.method import Method\nfrom methods.shared import ema", False),
    ],
)
def test_the_import_rule_tells_wrong_from_right(module, source, forbidden):
    assert bool(violations(module, source)) is forbidden


class RunTime(ast.NodeTransformer):
    """Leaves out what is imported for types alone."""

    def visit_If(self, node):
        return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)


def circle(sources_by_module):
    """Modules that import each other in a circle at run time; none where there is no circle."""
    graph = {}
    for module, source in sources_by_module.items():
        pairs = imported(RunTime().visit(ast.parse(source)))
        names = {f"{other}.{name}" if f"{other}.{name}" in sources_by_module else other for other, name in pairs}
        graph[module] = names & sources_by_module.keys() - {module}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return set(error.args[1])
    return set()


def test_no_modules_import_each_other_in_a_circle():
    assert circle({module_name(path): (REPO / path).read_text(encoding="utf-8") for path in sources()}) == set()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"a": "import b", "b": "def later():\n    from c import thing", "c": "import a"}, {"a", "b", "c"}),
        ({"a.x": "from a import y", "a.y": "from a.x import thing"}, {"a.x", "a.y"}),
        ({"a": "if TYPE_CHECKING:\n    import b", "b": "import a"}, set()),
    ],
)
def test_a_planted_circle_is_found(texts, expected):
    assert circle(texts) == expected


WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def forbidden(text, words):
    """Lines of `text` with one of `words`, in prose or as a part of a name (old_word, OldWord, oldWord)."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        plain = f" {' '.join(WORDS.findall(line)).lower()} "
        lines += [f"{number}: {word}" for word in words if f" {word} " in plain]
    return lines


def test_no_word_of_old_comes_back():
    pages = [path for path in files() if path.suffix == ".md" and (path.parts[0] == "docs" or path.name == "README.md")]
    texts = [*pages, *sources()]
    hits = {str(path): forbidden((REPO / path).read_text(encoding="utf-8"), FORBIDDEN_WORDS) for path in texts}
    assert {path: lines for path, lines in hits.items() if lines} == {}, f"say instead: {FORBIDDEN_WORDS}"


NAMES_WITHOUT_NOUN = frozenset({"again", "found", "here", "one", "told"})
"""No name of a variable, an argument or an attribute: say what the thing is."""


def test_names_are_nouns_that_say_what_they_hold():
    hits = {}
    for path in sources():
        tokens = tokenize.generate_tokens(io.StringIO((REPO / path).read_text(encoding="utf-8")).readline)
        hits[str(path)] = [
            f"{token.start[0]}: {token.string}" for token in tokens if token.string in NAMES_WITHOUT_NOUN
        ]
    assert len(hits) > 100
    assert {path: lines for path, lines in hits.items() if lines} == {}


@pytest.mark.parametrize("text", ["outlook_text = 1", "class RunOutlook:", "an out-\nlook, the Outlook:"])
def test_a_planted_word_is_found(text):
    assert forbidden(text, ["outlook"])


PUBLIC_MODULES = (
    *("components", "consistency", "dataset", "losses", "method", "mixing", "params", "progress", "views"),
)
"""Of harness.api, what an author of a plug-in calls or overrides. A network's `forward` gives its shapes in a line."""


def undocumented(source: str, offered: Iterable[str]) -> list[str]:
    """Methods and offered functions whose docstring lacks a section: Args, Returns or Raises."""
    lacking, module = [], ast.parse(source)
    for node in ast.walk(module):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if node in module.body and node.name not in offered:
            continue
        text = ast.get_docstring(node) or ""
        is_property = any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
        arguments = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        required = {
            "Args:": bool({*arguments} - {"self", "cls"}) and not is_property,
            "Returns:": node.returns is not None and ast.unparse(node.returns) != "None" and not is_property,
            "Raises": any(isinstance(inner, ast.Raise) for inner in ast.walk(node)),
        }
        lacking += [f"{node.name}: {word}" for word, needed in required.items() if needed and word not in text]
    return lacking


def test_public_functions_name_arguments_results_and_errors():
    paths = [*(REPO / "harness/api" / f"{name}.py" for name in PUBLIC_MODULES), REPO / "harness/pipeline.py"]
    offered = {*harness.__all__, *harness.api.__all__}
    lacking = {path.name: undocumented(path.read_text(encoding="utf-8"), offered) for path in paths}
    assert lacking == {path.name: [] for path in paths}


def loaded(*python_args):
    """Top-level packages that a fresh interpreter loads for these arguments, which must succeed."""
    done = run_python("-X", "importtime", *python_args, cwd=REPO)
    report = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    errors = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("import time:"))
    assert done.returncode == 0, errors
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in report}


@pytest.mark.parametrize(
    ("arguments", "package", "heavy"),
    [
        (("-c", "import harness"), "harness", {"numpy", "pandas", "pydantic"}),
        (("-m", "harness", "--help"), "click", {"pandas", "scipy", "matplotlib"}),
    ],
)
def test_import_and_help_load_nothing_heavy(arguments, package, heavy):
    packages = loaded(*arguments)
    assert package in packages
    assert packages & (HEAVY | heavy) == set()


def test_what_reads_records_never_loads_torch_ray_or_mlflow():
    readers = {("harness", name) for name in ("leaderboard", "stats", "audit")}
    modules = [module_name(path) for path in sources() if path.parts[:2] in readers]
    packages = loaded("-c", f"import {', '.join(modules)}")
    assert "harness" in packages
    assert packages & HEAVY == set()


def test_engine_files_stay_small():
    lengths = {str(path): len((REPO / path).read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {name: count for name, count in lengths.items() if count > MAX_FILE_LINES} == {}


def test_no_scan_or_weights_is_committed():
    scans = [str(path) for path in files() if path.name.lower().endswith(SCAN_SUFFIXES)]
    large = [str(path) for path in files() if (REPO / path).stat().st_size > MAX_FILE_BYTES]
    assert (scans, large) == ([], [])


def test_no_machine_path_or_registry_is_named():
    found = {}
    for path in files():
        if path != Path(__file__).resolve().relative_to(REPO):
            found[str(path)] = MACHINE_TRACES.findall((REPO / path).read_bytes().decode("utf-8", errors="replace"))
    assert {name: hits for name, hits in found.items() if hits} == {}


@pytest.mark.parametrize("text", ["'/home/ann/acdc'", "https://pypi.org/simple"])
def test_a_planted_trace_is_found(text):
    assert MACHINE_TRACES.search(text)
