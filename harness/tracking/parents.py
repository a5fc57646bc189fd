"""The MLflow runs above the runs: of an entry, with the means of its finals; and of the suite."""

import hashlib
import io
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from harness.api.errors import RecordError
from harness.leaderboard.conditions import Conditions
from harness.records.files import read_content
from harness.records.reader import SuiteRecords
from harness.tracking.content import Artifact, RunContent, joined_params
from harness.tracking.series import CURVE, HEADLINE, MAIN, Point, Span, at_end, main_first
from harness.tracking.tracked import TrackedRun, TrackedSuite, counts, fingerprint, whole_span

TABLE = "leaderboard.json"
"""The name of the logged table; the csv with all columns lies in leaderboard/ too."""

FIRST_COLUMNS = ("labelled", "rung", "checkpoint", "rank", "entry", "dice", "dice_low", "dice_high", "n_ok")
DECIMALS = 4


def suite_content(suite: TrackedSuite) -> RunContent:
    """Mirror a suite as the run above all others."""
    runs, finals = suite.runs, suite.selected_finals(suite.runs)
    searched, span = [run for run in runs if run.is_search], whole_span(runs)
    values = {
        **counts(finals),
        "n_planned": float(len(set().union(*suite.planned.values()))),
        "n_search": float(len(searched)),
        "spent/finals_device_seconds": sum(run.result.spent.useful_device_seconds for run in finals),
        "spent/search_device_seconds": sum(run.result.spent.useful_device_seconds for run in searched),
        "spent/lost_device_seconds": sum(run.result.spent.lost_device_seconds for run in runs),
    }
    return RunContent(
        name=suite.records.name,
        span=span,
        tags={},
        params=joined_params([run.asked for run in finals or runs]),
        points=tuple(at_end(values, step=0, span=span)),
        inputs=tuple(dict.fromkeys(data for run in runs for data in run.inputs)),
        artifacts=tuple(artifacts(suite.records)),
        tables={TABLE: readable_table(suite.leaderboard)} if suite.leaderboard.exists() else {},
    )


def suite_fingerprint(suite: TrackedSuite) -> str:
    files = [
        [artifact.folder, artifact.path.name, hashlib.sha256(read_content(artifact.path)).hexdigest()]
        for artifact in artifacts(suite.records)
    ]
    return fingerprint(suite.runs, files)


def artifacts(records: SuiteRecords) -> Iterator[Artifact]:
    """The selection, the suite, and every file of the leaderboard, in a fixed order."""
    if records.selection is not None:
        yield Artifact(records.store.selection_path)
        yield Artifact(records.root / "suites" / f"{records.selection.suite_hash}.yaml", "suites")
    for path in sorted(records.store.leaderboard.rglob("*")):
        if path.is_file() and not path.name.startswith("."):  # dots: half-written ones
            yield Artifact(path, path.parent.relative_to(records.root).as_posix())


def leaderboard_is_current(records: SuiteRecords) -> bool:
    """Whether the tables are younger than all that they are made from."""
    table = records.store.leaderboard / "leaderboard.csv"
    sources = [records.store.selection_path, *(run.folder.path / "result.json" for run in records.runs)]
    return table.exists() and table.stat().st_mtime >= max(p.stat().st_mtime for p in sources if p.exists())


def readable_table(path: Path) -> pd.DataFrame:
    """The leaderboard with the most wanted columns first, those with one value last, and no empty ones."""
    try:
        frame = pd.read_csv(io.BytesIO(read_content(path))).dropna(axis="columns", how="all")
    except ValueError as error:  # pandas' parsing errors are ValueErrors
        raise RecordError(
            f"{path}: not a table ({error}); `harness leaderboard {shlex.quote(str(path.parents[1]))}` writes it again"
        ) from None
    first = [name for name in FIRST_COLUMNS if name in frame]
    rest = sorted(frame.columns.difference(first, sort=False), key=lambda name: frame[name].nunique(dropna=False) == 1)
    return frame[[*first, *rest]].round(DECIMALS)


def entry_content(suite: TrackedSuite, entry: str) -> RunContent:
    """Mirror an entry as the MLflow run above its runs.

    Means are over the finals of the current selection that have numbers. Runs that one table must not mix get no mean;
    a tag says so.
    """
    runs = suite.entries[entry]
    finals, span = suite.selected_finals(runs), whole_span(runs)
    values = {
        **counts(finals),
        "n_planned": float(len(suite.planned.get(entry, ()))),
        "n_search": float(sum(run.is_search for run in runs)),
    }
    tags = {"method": entry}
    curves: list[Point] = []
    for name in sorted({run.table for run in finals}):
        group = [run for run in finals if run.table == name]
        if len(set(map(_comparable, group))) > 1:
            tags[f"{name}.means"] = "none: budgets, environments, data or versions differ between its runs"
            continue
        means = _means(group)
        values |= {f"{name}/{metric}": value for metric, value in means.items()}
        values |= {f"{HEADLINE}/{name}": means[MAIN]} if MAIN in means else {}
        curves += mean_curve(f"{name}/{CURVE}", group, span)
    return RunContent(
        name=entry,
        span=span,
        tags=tags,
        params=joined_params([run.asked for run in finals or runs]),
        points=(*at_end(main_first(values), step=0, span=span), *curves),
    )


def entry_fingerprint(suite: TrackedSuite, entry: str) -> str:
    return fingerprint(suite.entries[entry], sorted(suite.planned.get(entry, ())))


def _comparable(run: TrackedRun) -> tuple[int, Conditions | None]:
    environment = run.record.environment
    return run.asked.method_version, None if environment is None else Conditions.of(run.asked, environment)


def _means(group: Sequence[TrackedRun]) -> dict[str, float]:
    rows = pd.DataFrame([_values(run) for run in group if run.record.ok]).dropna(axis="columns")
    return {**counts(group), **{str(name): float(mean) for name, mean in rows.mean().sort_index().items()}}


def _values(run: TrackedRun) -> dict[str, float]:
    """What entries are compared by: metrics over all classes, and Dice by class."""
    spent, metrics = run.result.spent, run.test_metrics
    tested = {name: value for name, value in metrics.items() if name.count("/") == 2 or "/dice/" in name}
    return {**tested, "spent/device_seconds": spent.useful_device_seconds, "spent/steps": float(spent.useful_steps)}


def mean_curve(name: str, group: Iterable[TrackedRun], span: Span) -> Iterator[Point]:
    """Mean Dice of runs by validation, at the device seconds spent (the step); a long step may skip a validation."""
    by_number = [{each.validation: each for each in run.result.validations} for run in group if run.record.ok]
    for number in sorted(set.intersection(*map(set, by_number))) if by_number else ():
        validations = [own[number] for own in by_number]
        seconds = sum(validation.device_seconds for validation in validations) / len(validations)
        progress = sum(validation.progress for validation in validations) / len(validations)
        dice = [validation.mean_dice for validation in validations if validation.mean_dice is not None]
        if len(dice) == len(validations):
            yield Point(name, sum(dice) / len(dice), round(seconds), span.at(progress))
