"""README and docs: commands parse, links lead somewhere, named files exist, tables follow the code."""

import importlib
import importlib.util
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from harness.api import errors
from harness.cli import cli
from harness.licences import licence_of, needed
from harness.records.run_folder import ENDED_FILES, ENDED_FOLDERS, WRITTEN
from harness.records.schema import Failure
from harness.suite.load import SUITES, Suite
from tests.support import REPO
from tests.test_house import files

PAGES = [path for path in files() if path.suffix == ".md" and path.parts[0] in {"docs", "README.md", "CONTRIBUTING.md"}]
PAGES += [Path("benchmarks/RULES.md"), Path("benchmarks/results/README.md"), Path("benchmarks/calibrations/README.md")]
TARGETS = set(re.findall(r"^([a-z]+):", (REPO / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
ROOTS = "harness|methods|benchmarks|docs|examples|slurm|tests|container|findings"
SUFFIXES = "py|md|yaml|json|txt|csv|sh|cff|svg|webp|def|xz"
NAMED = re.compile(rf"(?<![\w./-])(?:{ROOTS})/[\w./-]*\.(?:{SUFFIXES})(?![\w/])")
MOST_README_LINES = 120


def text_of(page):
    return (REPO / page).read_text(encoding="utf-8")


def command_lines(text):
    code, fenced = [], False
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            code += [part.strip().removeprefix("$ ") for part in re.split(r" && |; ", line.partition(" #")[0])]
    starts = ("harness ", "python -m ", "python examples/", "make ")
    return [line for line in code if line.startswith(starts)]


def mentions(text):
    return re.findall(r"`((?:harness|make|python -m harness) [a-z][^`]*)`", " ".join(text.split()))


def problem_of(line, *, whole=True):
    words = shlex.split(line.replace("...", "x"))
    if words[0] == "make":
        unknown = [word for word in words[1:] if "=" not in word and word not in TARGETS]
        return f"no target {unknown[0]}" if unknown else ""
    if words[:2] == ["python", "-m"]:
        if words[2] != "harness":
            return "" if importlib.util.find_spec(words[2]) else f"no module {words[2]}"
        words = words[2:]
    if words[0] == "python":
        return "" if (REPO / words[1]).is_file() else f"no file {words[1]}"
    return click_problem(words[1:], whole)


def click_problem(words, whole):
    try:
        command, context, rest = resolve(words)
        values, extra, _ = command.make_parser(context).parse_args(args=rest)
        for parameter in command.params:
            value = values.get(parameter.name)
            if whole and parameter.required and not value and "--help" not in words:
                raise click.MissingParameter(ctx=context, param=parameter)
            if value and not isinstance(parameter.type, click.Path):
                parameter.type_cast_value(context, value)
        if suite := unknown_suite(values.get("suite", "")):
            raise click.UsageError(f"no suite {suite}")
    except click.UsageError as error:
        return error.format_message()
    return f"more than it takes: {extra}" if extra else ""


def resolve(words):
    command: click.Command = cli
    context = click.Context(cli, info_name="harness")
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(args=list(words))
        if not words or words[0].isupper():
            return command, context, []
        below = command.get_command(context, words[0])
        if below is None:
            raise click.UsageError(f"no verb {words[0]}")
        command, context, words = below, click.Context(below, info_name=words[0], parent=context), words[1:]
    return command, context, words


def unknown_suite(name):
    own = not name.islower() or name.endswith((".yaml", ".yml")) or name.startswith(("my", "mine"))
    return "" if own or (SUITES / f"{name}.yaml").is_file() else name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_a_page_parses(page):
    text = text_of(page)
    problems = {line: problem_of(line) for line in command_lines(text)}
    problems |= {line: problem_of(line, whole=False) for line in mentions(text)}
    assert {line: problem for line, problem in problems.items() if problem} == {}


@pytest.mark.parametrize(
    "line",
    ["harness runn --suite demo", "harness run --suit demo", "harness run", "harness plan --suite demoo",
     "harness status runs/a runs/b", "make nothing",
     "python -m tests.nothing", "python examples/nothing.py"],
)  # fmt: skip
def test_a_wrong_command_is_seen(line):
    assert command_lines(f"```sh\n{line}   # does it\n```") == [line]
    assert mentions(f"see `{line}`") == ([line] if "python" not in line else [])
    assert problem_of(line)
    assert bool(problem_of(line, whole=False)) is (line != "harness run")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_and_every_named_file_of_a_page_exists(page):
    text = text_of(page)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (REPO / page).parent.joinpath(link).exists()] == []
    named = {name for name in NAMED.findall(text) if not re.search(r"NAME|SUITE|/S\.", name)}
    if page.name == "claims.md":  # names files of other repositories
        named.clear()
    assert [name for name in sorted(named) if not (REPO / name).exists()] == []


def test_the_readme_is_short_and_every_page_is_reached():
    assert len(text_of(Path("README.md")).splitlines()) <= MOST_README_LINES
    pages = {path for path in PAGES if path.parts[0] == "docs"}
    trees = {
        (REPO / page).parent.joinpath(f"{name}.md").resolve().relative_to(REPO)
        for page in pages
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", text_of(page), flags=re.DOTALL)
        for name in re.findall(r"^([\w/-]+)$", tree, flags=re.MULTILINE)
    }
    assert pages - trees == {Path("docs/index.md")}


def test_exit_codes_are_those_of_the_code():
    listed = {
        int(code) for code in re.findall(r"^\| (\d+) \|", text_of(Path("docs/reference/exit-codes.md")), re.MULTILINE)
    }
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.HarnessError)]
    assert {kind.exit_code for kind in classes} | {0, 73, 130} == listed


def test_messages_of_troubleshooting_are_those_of_the_code():
    source = "\n".join(
        text_of(path) for path in files() if path.suffix == ".py" and path.parts[0] in {"harness", "benchmarks"}
    )
    source = re.sub(r"\"\s*\n\s*f?\"", "", source)
    messages = re.findall(r"^\| `([^`]+)`", text_of(Path("docs/how-to/troubleshooting.md")), re.MULTILINE)
    kinds = str(Failure.model_fields["kind"].annotation)
    known = [message in source or repr(message.removeprefix("failed: ")) in kinds for message in messages]
    assert len(messages) > 20
    assert [message for message, stands in zip(messages, known, strict=True) if not stands] == []


def test_example_suites_are_suites():
    text = text_of(Path("docs/reference/suite.md"))
    examples = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert [Suite.model_validate(yaml.safe_load(example)).name for example in examples] == ["mine"]


def test_the_page_of_records_names_every_file_of_a_run():
    page = text_of(Path("docs/reference/records.md"))
    assert [name for name in {*WRITTEN, *ENDED_FILES, *ENDED_FOLDERS} if f"`{name.rstrip('/')}" not in page] == []


def test_nothing_under_the_gpl_is_needed_at_run_time():
    """MedPy is, and is found out among what tests need."""
    at_run_time, tests = needed(), needed(extras=frozenset({"test"}))
    assert {"torch", "mlflow", "ray", "submitit", "optuna"} <= set(at_run_time)
    assert [name for name, package in at_run_time.items() if "GPL" in licence_of(package)] == []
    assert "GPL" in licence_of(tests["medpy"])


def test_the_containers_take_the_tested_versions_of_all_that_is_needed_by_hash():
    pattern = re.compile(r"([\w.-]+)==(\S+)(?: --hash=sha256:[0-9a-f]{64})?")
    tested, hashed = (
        {found[1].lower().replace("_", "-"): found[2] for line in lines if (found := pattern.fullmatch(line))}
        for lines in (
            (REPO / name).read_text().splitlines() for name in ("constraints.txt", "container/requirements.txt")
        )
    )
    assert {*needed(), "setuptools"} <= hashed.keys()
    assert {name: tested[name] for name in hashed.keys() & tested} == {
        name: version for name, version in hashed.items() if name in tested
    }
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in hashed.keys() - tested)
