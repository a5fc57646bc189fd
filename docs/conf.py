"""How Sphinx builds these pages: `make docs`. They read as plain markdown too; what Sphinx alone needs is here."""

import inspect
import os
import re
import types
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx

import harness
from harness.licences import licence_table
from harness.report.claims import document

project = "harness"
author = "The harness authors"
copyright = "the harness authors"
release = harness.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_click"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"harness {release}"
myst_heading_anchors = 3
smartquotes = False  # --to is an option
default_role = "code"  # docstrings are markdown: single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_mock_imports = ["mlflow", "ray", "optuna", "submitit"]
napoleon_use_ivar = True

DOCS = Path(__file__).resolve().parent
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")
CLAIMS = "<!-- claims -->"
DEPENDENCIES = "<!-- dependencies -->"
FIELDS = re.compile(r"<!-- fields (\S+):(\S+) -->")
PAGES = {"benchmarks/RULES.md": "explanation/rules.md"} | {
    f"{name}.md": f"developers/{name.lower()}.md" for name in ("CONTRIBUTING", "CHANGELOG")
}
"""Pages of the site that show a file from outside docs/."""


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make a page's markdown into what the site shows: tables of fields and claims, no links out of the site."""
    page = DOCS / f"{docname}.md"
    text = source[0].replace(CLAIMS, document()).replace(DEPENDENCIES, licence_table())
    text = FIELDS.sub(lambda match: field_table(getattr(import_module(match[1]), match[2])), text)
    source[0] = LINK.sub(lambda match: inner_link(match, page), text)


def prepare_included(app: Sphinx, relative_path: Path, parent_docname: str, content: list[str]) -> None:
    """The same for a file that a page includes: its links count from its own folder."""
    origin = (DOCS / relative_path).resolve()
    page = DOCS / PAGES[origin.relative_to(DOCS.parent).as_posix()]
    content[0] = LINK.sub(lambda match: inner_link(match, page, origin), content[0])


def mend_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Shapes such as [N, C, *size] begin no emphasis; what a module's text indents after a colon is shown as it is."""
    if what == "module":
        lines[:] = re.sub(r":\n(?= +\S)", "::\n\n", "\n".join(lines)).split("\n")
    lines[:] = [re.sub(r"\*(?=size\b)", r"\\*", line) for line in lines]


def inner_link(match: re.Match[str], page: Path, origin: Path | None = None) -> str:
    """A link as the page's, or its text alone where it leads out of docs/. origin: the file that has it."""
    text, target, anchor = match.groups()
    path = ((origin or page).parent / target).resolve()
    if not path.is_relative_to(DOCS):
        name = path.relative_to(DOCS.parent).as_posix()
        if name not in PAGES:
            return text
        path = DOCS / PAGES[name]
    return f"[{text}]({os.path.relpath(path, page.parent)}{anchor or ''})"


def field_table(model: type[BaseModel]) -> str:
    """The first line of a model's docstring, and a table of its fields."""
    doc = inspect.getdoc(model) or ""
    meanings = described(doc)
    lines = [doc.partition("\n")[0], "", "| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        meaning = field.description or meanings.get(name, "")
        cells = (f"`{name}`", f"`{shown(field.annotation)}`", default_of(field), meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def described(doc: str) -> dict[str, str]:
    """Meanings by field from the lines `name: meaning` of a docstring."""
    meanings: dict[str, str] = {}
    names: list[str] = []
    for line in doc.splitlines():
        head = re.match(r" {0,4}([a-z]\w*(?:, [a-z]\w*)*): +(.*)", line)
        if head:
            names = head[1].split(", ")
            meanings |= dict.fromkeys(names, head[2])
        elif names and line.startswith("  "):
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
        else:
            names = []
    return meanings


def shown(annotation: Any) -> str:  # noqa: ANN401 - any type expression
    """A type as a YAML author reads it: list of int; weak, none, nnunet."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shown(inner[0])
    if origin is Literal:
        return ", ".join(map(str, inner))
    if origin in (Union, types.UnionType):
        return " or ".join(shown(part) for part in inner if part is not type(None))
    if origin in (list, tuple):
        return f"list of {shown(inner[0])}"
    if origin is dict or (inspect.isclass(annotation) and issubclass(annotation, BaseModel)):
        return "mapping"
    return str(getattr(annotation, "__name__", annotation)).replace("str", "text")


def default_of(field: Any) -> str:  # noqa: ANN401 - pydantic's FieldInfo
    """A field's default as YAML, empty where it is required."""
    if field.default is PydanticUndefined:
        return "" if field.default_factory is None else "none"
    if isinstance(field.default, BaseModel):
        return "as below"
    if field.default is None or field.default == "":
        return "none"
    return f"{str(field.default).lower() if isinstance(field.default, bool) else field.default}"


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", prepare)
    app.connect("include-read", prepare_included)
    app.connect("autodoc-process-docstring", mend_docstring)
