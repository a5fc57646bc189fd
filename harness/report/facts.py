"""Facts of the page from the records: data, budget, devices, hyper-parameters, commands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import yaml

from harness.leaderboard import notes
from harness.leaderboard.inputs import Comparison
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.reader import SuiteRecords
from harness.records.schema import Environment

PRIVATE = frozenset({"host", "slurm_job", "data_warnings"})
"""Shown facts of an environment that a page for others leaves out; what was warned of is among the notes."""

Fact = tuple[str, str]


@dataclass(frozen=True)
class SuiteText:
    """The suite file of the current selection, as it was; grid: its search tries every combination, no default."""

    text: str
    description: str
    grid: bool


def facts(comparison: Comparison) -> list[Fact]:
    """Data, budget, sample and device of one comparison."""
    counts = [str(value) for value in sorted(comparison.runs["labelled"].dropna().unique())]
    states = Counter(comparison.runs["status"])
    return [
        *notes.facts(comparison),
        ("Labelled", f"{' and '.join(counts) or 'all'} patients"),
        ("Runs", ", ".join(f"{count} {state}" for state, count in states.most_common())),
    ]


def marked_notes(leaderboard: Leaderboard, comparison: Comparison) -> list[tuple[str, bool]]:
    """The notes of the tables, and whether each must not be overlooked."""
    return [(line, line.startswith(notes.LOUD)) for line in notes.notes(leaderboard.inputs, comparison)]


def suite_text(records: SuiteRecords) -> SuiteText:
    """The text of the suite that the selection belongs to; empty if it is not recorded."""
    suite_hash = "" if records.selection is None else records.selection.suite_hash
    path = records.root / "suites" / f"{suite_hash}.yaml"
    if not path.is_file():
        return SuiteText("", "", grid=False)
    text = path.read_text(encoding="utf-8")
    raw = yaml.safe_load(text) or {}
    return SuiteText(text, raw.get("description") or "", grid=(raw.get("search") or {}).get("mode") == "grid")


def environments(records: SuiteRecords) -> list[list[Fact]]:
    """Every environment that planned runs ended in, with what was shown; that of most runs first."""
    ended = (run.environment for _, run in records.selected)
    counts = Counter(_environment(environment) for environment in ended if environment is not None)
    return [[*environment, ("runs", str(count))] for environment, count in counts.most_common()]


def _environment(environment: Environment) -> tuple[Fact, ...]:
    values = {**environment.model_dump(exclude={"shown", "schema_version"}), **environment.shown}
    public = {name: value for name, value in values.items() if value is not None and name not in PRIVATE}
    return tuple((name.replace("_", " "), str(value)) for name, value in public.items())


def configurations(records: SuiteRecords) -> list[tuple[str, list[Fact]]]:
    """The hyper-parameters of each method; by planned run where they differ."""
    planned_runs: dict[tuple[str, tuple[Fact, ...]], list[str]] = {}
    for entry, _ in records.selected:
        params = tuple((name, _text(value)) for name, value in entry.params.items())
        planned_runs.setdefault((entry.planned_run.entry, params), []).append(str(entry.planned_run).partition("/")[2])
    methods = Counter(method for method, _ in planned_runs)
    return [
        (method if methods[method] == 1 else f"{method} ({', '.join(names)})", list(params))
        for (method, params), names in planned_runs.items()
    ]


def _text(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()


def commands(suite: str) -> list[tuple[str, str]]:
    """What to type, in order: (command, what it does)."""
    file = f"{suite}.yaml"
    return [
        (f"harness run --suite {file} --data DIR", "trains what is missing, tests once, writes tables and this page"),
        (f"harness leaderboard runs/{suite}", "writes the tables and this page from the records alone"),
        (f"harness leaderboard runs/{suite} --data DIR", "writes them with pictures of the worst cases"),
        (
            f"harness replay runs/{suite} METHOD/LABELLED/SUBSET/SEED --data DIR",
            "trains one run again and compares it bit by bit",
        ),
    ]
