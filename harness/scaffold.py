"""What `harness new` writes: a package with a method that keeps the contract, and copies of suites."""

import keyword
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import harness.api
from harness.api.errors import UsageError
from harness.suite.load import SUITES, LoadedSuite, load_suite
from harness.suite.registry import method_sources

TEMPLATES = Path(__file__).with_name("templates")
PLACES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "my_method.py": "src/{name}.py",
    "test_my_method.py": "tests/test_{name}.py",
}
"""File of `templates/` -> where it goes in the new package."""


def new_method(name: str, parent: Path) -> Path:
    """Write a package with one method, its test, and a suite that trains it beside the demo's methods; its folder.

    name: of the method, its module and its folder. Raises `UsageError` where the name is none, or taken, or the folder
    exists; `OSError` where it cannot be written.
    """
    folder = parent / name
    if folder.exists():
        raise UsageError(f"{folder}: exists already; take another name, or --to another folder")
    if problem := _name_problem(name):
        raise UsageError(f"{name!r} {problem}; take another name")
    title = _class_name(name)
    for template, place in PLACES.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        text = (
            text.replace("harness.templates.", "")
            .replace("my_method", name)
            .replace("MyMethod", title)
            .replace("my-method", name.replace("_", "-"))
        )
        path = folder / place.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    new_suite(f"{name}_demo", [name], folder)
    return folder


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _name_problem(name: str) -> str:
    """Why a name cannot be that of a method and of the module that holds it; empty where it can."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        return "is no name of a Python module in small letters, digits and _"
    if known := method_sources().get(name):
        return f"is a method already ({known.origin})"
    spec = find_spec(name)
    if name in sys.stdlib_module_names or (spec is not None and spec.origin is not None):
        return "is a Python package already, which it would hide"
    imported = {*harness.api.__all__, "Mapping", "MethodTests"}
    if hidden := imported & {_class_name(name), f"{_class_name(name)}Params"}:
        return f"would name its class {hidden.pop()}, which its module imports"
    return ""


def new_suite(name: str, methods: Sequence[str], parent: Path, like: str = "demo") -> Path:
    """Write NAME.yaml, a copy of another suite with more methods at their default hyper-parameters; the new file.

    like: name of a shipped suite, or path of a YAML file. Raises `UsageError` where the name is none, or taken, or the
    other suite is wrong or has such a method; `OSError` where the file cannot be written.
    """
    if (SUITES / f"{name}.yaml").exists():
        raise UsageError(f"{name!r} is a shipped suite, whose records lie in runs/{name}; take another name")
    path = parent / f"{name}.yaml"
    if path.exists():
        raise UsageError(f"{path}: exists already; take another name, or --to another folder")
    source = load_suite(like)
    if taken := [method for method in methods if method in source.suite.methods]:
        raise UsageError(f"{source.path}: has an entry {taken[0]!r} already; leave it out")
    path.write_text(_copy(source, name, methods), encoding="utf-8")
    try:
        load_suite(path)
    except UsageError:
        path.unlink()
        raise
    return path


def _copy(source: LoadedSuite, name: str, methods: Sequence[str]) -> str:
    """Text of a suite with another name and more methods, without its first comment.

    A calibration that it names is left out where methods are added, which it lacks.
    """
    lines = source.text.splitlines()
    starts = sorted(line for location, line in source.lines.items() if len(location) == 1)
    first, after = source.lines["methods",], [line for line in starts if line > source.lines["methods",]]
    end = after[0] - 1 if after else len(lines)
    while not lines[end - 1].strip() or lines[end - 1].startswith("#"):
        end -= 1
    indent = re.match(" *", lines[first])
    added = [f"{indent.group() if indent else '  '}{method}:" for method in methods]
    lines[source.lines["name",] - 1] = f"name: {name}"
    copied = [*lines[:end], *added, *lines[end:]]
    kept = [line for line in copied[starts[0] - 1 :] if not (methods and line.startswith("calibration:"))]
    return "\n".join([f"# A copy of the suite {source.suite.name}.", *kept, ""])
