"""Writes index.html: one file with everything in it, which opens without server or network."""

import json
from collections import Counter
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup

from harness.api.errors import RecordError
from harness.api.strict import canonical_json
from harness.audit import Audit
from harness.data.cache import Cache
from harness.leaderboard import notes
from harness.leaderboard.headline import break_even_answers, verdicts
from harness.leaderboard.inputs import Comparison
from harness.leaderboard.leaderboard import Leaderboard
from harness.leaderboard.scored import scored_grid, scored_lines
from harness.records.files import write_text
from harness.records.reader import SuiteRecords
from harness.records.schema import Environment
from harness.records.suite_folder import SelectionEntry
from harness.report.claims import claims_beside
from harness.report.columns import Json
from harness.report.content import METRICS, content
from harness.report.figures import copy_figures
from harness.report.panels import worst_panels
from harness.suite.yaml_text import YamlError, parse

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "base", "chart", "state", "ladder", "table", "matrix", "curves", "patients", "panels", "budget", "main",
)  # fmt: skip
"""The page's own JavaScript, in the order in which it runs."""


PRIVATE = frozenset({"host", "slurm_job", "data_warnings"})
"""Shown facts of an environment that a page for others leaves out; what was warned of is among the notes."""

Fact = tuple[str, str]


def write_page(
    records: SuiteRecords, leaderboard: Leaderboard, cache: Cache | None = None, audit: Audit | None = None
) -> Path:
    """Write index.html and figures/ into RUNS/<suite>/leaderboard; the same records give the same files.

    Given the data (cache), the page has pictures of the worst test cases, and must not be published where their licence
    forbids that. audit: None leaves it out.

    Raises `DiskError`, and with a cache `ClosedSplitError` where a run's weights are not final although it has ended.
    """
    data = content(leaderboard)
    yaml_text, asked = suite_text(records)
    panels = worst_panels(records, leaderboard, cache)
    data["panels"] = {"groups": panels.groups, "classes": panels.classes}
    text = _template().render(
        suite=leaderboard.suite,
        description=asked.get("description") or "",
        comparisons=[
            {
                "title": comparison.title,
                "facts": facts(comparison),
                "verdicts": verdicts(leaderboard, comparison),
                "notes": [(line, line.startswith(notes.LOUD)) for line in notes.notes(leaderboard.inputs, comparison)],
            }
            for comparison in leaderboard.inputs.comparisons
        ],
        data=_embedded(data),
        ladder=notes.BREAK_EVEN if data["ladder"] else "",
        break_even=break_even_answers(leaderboard),
        panels=panels,
        scored=None if leaderboard.scored.empty else scored_grid(leaderboard.scored, METRICS),
        scored_lines=() if leaderboard.scored.empty else scored_lines(leaderboard.scored),
        gallery=copy_figures(records),
        audit=audit,
        claims=claims_beside(leaderboard, str(asked.get("dataset"))),
        environments=environments(records),
        configurations=configurations(records),
        commands=commands(records),
        yaml=yaml_text,
        style=_asset("style.css"),
        script=Markup("\n").join(_asset(f"{name}.js") for name in SCRIPTS),
    )
    path = records.store.leaderboard / "index.html"
    write_text(path, text)
    return path


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(ASSETS)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template("page.html.j2")


def _embedded(data: Json) -> Markup:
    """JSON that no text in it can break out of."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _asset(name: str) -> Markup:
    return Markup((ASSETS / name).read_text(encoding="utf-8").strip())


def facts(comparison: Comparison) -> list[Fact]:
    """Data, budget, sample and device of one comparison."""
    states = Counter(comparison.runs["status"])
    return [
        *notes.facts(comparison),
        ("Runs", ", ".join(f"{count} {state}" for state, count in states.most_common())),
    ]


def suite_text(records: SuiteRecords) -> tuple[str, Json]:
    """The suite file that the selection belongs to, and parsed; empty if it is not recorded."""
    suite_hash = "" if records.selection is None else records.selection.suite_hash
    if not (records.root / "suites" / f"{suite_hash}.yaml").is_file():
        return "", {}
    text = records.store.suite_text(suite_hash)
    try:
        return text, parse(text)[0] or {}
    except YamlError as error:
        raise RecordError(f"suites/{suite_hash}.yaml: not the suite that ran ({error})") from None


def environments(records: SuiteRecords) -> list[list[Fact]]:
    """Every environment that planned runs ended in; that of most runs first."""
    ended = records.ended
    keys = zip(ended.column("environment"), ended.column("shown"), strict=True)
    by_run = dict(zip(ended.rows, keys, strict=True))
    of_runs = Counter(by_run[entry.run] for entry in records.require_selection().entries if entry.run in by_run)
    counts = Counter[tuple[Fact, ...]]()
    for (fingerprint, shown), count in of_runs.items():
        if fingerprint:
            counts[_environment(records.environment(fingerprint, records.root / "runs", json.loads(shown)))] += count
    return [[*environment, ("runs", str(count))] for environment, count in counts.most_common()]


def _environment(environment: Environment) -> tuple[Fact, ...]:
    values = {**environment.model_dump(exclude={"shown", "schema_version"}), **environment.shown}
    public = {name: value for name, value in values.items() if value is not None and name not in PRIVATE}
    return tuple((name.replace("_", " "), str(value)) for name, value in public.items())


def configurations(records: SuiteRecords) -> list[tuple[str, list[Fact]]]:
    """The hyper-parameters of each method; by planned run where they differ."""
    planned_runs: dict[tuple[str, str], list[SelectionEntry]] = {}
    for entry in records.require_selection().entries:
        planned_runs.setdefault((entry.planned_run.entry, canonical_json(entry.params)), []).append(entry)
    methods = Counter(method for method, _ in planned_runs)
    return [
        (
            method if methods[method] == 1 else f"{method} ({', '.join(map(_place, entries))})",
            [(name, _text(value)) for name, value in entries[0].params.items()],
        )
        for (method, _), entries in planned_runs.items()
    ]


def _place(entry: SelectionEntry) -> str:
    return str(entry.planned_run).partition("/")[2]


def _text(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()


def commands(records: SuiteRecords) -> list[tuple[str, str]]:
    """(command, what it does), in order. DIR is the folder of the scans."""
    suite, run = records.name, records.require_selection().entries[0].planned_run
    file = f"{suite}.yaml"
    return [
        (f"harness run --suite {file} --data DIR", "trains what is missing, tests once, writes tables and this page"),
        (f"harness leaderboard runs/{suite}", "writes the tables and this page from the records alone"),
        (f"harness leaderboard runs/{suite} --data DIR", "writes them with pictures of the worst cases"),
        (
            f"harness replay runs/{suite} {run} --data DIR",
            "trains one run again and compares it bit by bit; any other by its entry, labelled count, subset and seed",
        ),
    ]
