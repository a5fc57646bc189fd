"""Writes index.html: one file with everything in it, which opens without server or network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.audit import Audit
from harness.data.cache import Cache
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.files import write_text
from harness.records.suite_folder import RunStore
from harness.report.columns import Json
from harness.report.content import content
from harness.report.facts import commands, configurations, environments, facts, standing_notes, suite_yaml
from harness.report.headline import verdicts
from harness.report.panels import Panels, worst_panels

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "base", "chart", "state", "table", "matrix", "curves", "patients", "surface", "panels", "budget", "main",
)  # fmt: skip
"""The page's own JavaScript, in the order in which it runs."""


@dataclass(frozen=True)
class PageSettings:
    """What the page shows beyond the board.

    cache:  the data, for pictures of the worst test cases; None leaves them out. A page with them holds scans, so it
            must not be published where the data's licence forbids that.
    search: the trials, see `content.content`; None where nothing was searched.
    audit:  what `harness.audit` found; None where it was not asked.
    """

    cache: Cache | None = None
    search: pd.DataFrame | None = None
    audit: Audit | None = None


def write_page(store: RunStore, board: Leaderboard, settings: PageSettings = PageSettings()) -> Path:
    """Write RUNS/<suite>/leaderboard/index.html from the records; returns its path.

    Raises `DiskError`, and with a cache what opening the test split raises.
    """
    panels = _panels(store, board, settings)
    path = store.leaderboard / "index.html"
    write_text(path, render(store, board, settings, panels))
    return path


def _panels(store: RunStore, board: Leaderboard, settings: PageSettings) -> Panels:
    if settings.cache is not None:
        return worst_panels(store, board, settings.cache)
    return Panels(
        reason="Left out: pictures of test cases need the scans. "
        f"Write them with `harness leaderboard --suite {board.inputs.suite} --data DIR`."
    )


def render(store: RunStore, board: Leaderboard, settings: PageSettings, panels: Panels) -> str:
    """The page as text; the same records give the same text."""
    data = content(board, settings.search)
    suite = suite_yaml(store)
    data["grid"] = suite.grid
    data["panels"] = {"groups": panels.groups, "classes": panels.classes}
    comparisons = board.inputs.comparisons
    return _template().render(
        suite=board.inputs.suite,
        description=suite.description,
        comparisons=[
            {
                "title": one.title,
                "facts": facts(one),
                "verdicts": verdicts(board, one),
                "notes": standing_notes(board.inputs, one),
            }
            for one in comparisons
        ],
        data=_embedded(data),
        has_search=bool(data["search"]),
        panels=panels,
        audit=settings.audit,
        environments=environments(store),
        configurations=configurations(store),
        commands=commands(board.inputs.suite),
        yaml=suite.text,
        style=_asset("style.css"),
        script=Markup("\n").join(_asset(f"{name}.js") for name in SCRIPTS),
    )


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
