"""Writes index.html: one file with everything in it, which opens without server or network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.audit import Audit
from harness.data.cache import Cache
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.files import write_text
from harness.records.reader import SuiteRecords
from harness.report.columns import Json
from harness.report.content import content
from harness.report.facts import commands, configurations, environments, facts, marked_notes, suite_text
from harness.report.figures import copy_figures
from harness.report.headline import verdicts
from harness.report.panels import worst_panels

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "base", "chart", "state", "table", "matrix", "curves", "patients", "surface", "panels", "budget", "main",
)  # fmt: skip
"""The page's own JavaScript, in the order in which it runs."""


@dataclass(frozen=True)
class PageSettings:
    """What the page shows beyond the leaderboard.

    cache: the data, for pictures of the worst test cases; None leaves them out. A page with them holds scans, so it
           must not be published where the data's licence forbids that.
    audit: the result of `harness.audit`; None leaves it out.
    """

    cache: Cache | None = None
    audit: Audit | None = None


def write_page(records: SuiteRecords, leaderboard: Leaderboard, settings: PageSettings = PageSettings()) -> Path:
    """Write index.html and figures/ into RUNS/<suite>/leaderboard; the same records give the same files.

    Args:
        records: The records of one suite.
        leaderboard: What `build_leaderboard` made of them.
        settings: What the page shows beyond it.

    Returns:
        The path of index.html.

    Raises:
        DiskError: The folder cannot be written.
        ClosedSplitError: With a cache, a run's weights are not final although it has ended.
    """
    data = content(leaderboard)
    suite = suite_text(records)
    panels = worst_panels(records, leaderboard, settings.cache)
    data |= {"grid": suite.grid, "panels": {"groups": panels.groups, "classes": panels.classes}}
    text = _template().render(
        suite=leaderboard.suite,
        description=suite.description,
        comparisons=[
            {
                "title": comparison.title,
                "facts": facts(comparison),
                "verdicts": verdicts(leaderboard, comparison),
                "notes": marked_notes(leaderboard, comparison),
            }
            for comparison in leaderboard.inputs.comparisons
        ],
        data=_embedded(data),
        has_search=bool(data["search"]),
        panels=panels,
        gallery=copy_figures(records),
        audit=settings.audit,
        environments=environments(records),
        configurations=configurations(records),
        commands=commands(leaderboard.suite),
        yaml=suite.text,
        style=_asset("style.css"),
        script=Markup("\n").join(_asset(f"{name}.js") for name in SCRIPTS),
    )
    path = records.store.leaderboard / "index.html"
    write_text(path, text)
    return path


def _template() -> Template:
    environment = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("page.html.j2")


def _embedded(data: Json) -> Markup:
    """JSON that no text in it can break out of."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _asset(name: str) -> Markup:
    """A file of ours, which needs no escaping."""
    return Markup((ASSETS / name).read_text(encoding="utf-8").strip())
