"""The MLflow run of a suite, above its entries: leaderboard as a table, figures, page, selection and YAML file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from harness.api.errors import RecordError
from harness.api.strict import digest
from harness.records.reader import SuiteRecords
from harness.tracking.content import Artifact, RunContent
from harness.tracking.inputs import ordered
from harness.tracking.params import joined_params
from harness.tracking.series import at_end
from harness.tracking.tracked import LAYOUT, TrackedRun, TrackedSuite, counts, fingerprints, whole_span

TABLE = "leaderboard.json"
"""The name of the logged table; the csv with all columns lies in leaderboard/ too."""

FIRST_COLUMNS = ("labelled", "checkpoint", "rank", "entry", "dice", "dice_low", "dice_high", "n_ok")
DECIMALS = 4


def suite_content(suite: TrackedSuite) -> RunContent:
    """Mirror a suite as the run above all others. Reads whatever files lie in the leaderboard's folder."""
    runs, finals = suite.runs, suite.selected_finals(suite.runs)
    searched, span = [run for run in runs if run.is_search], whole_span(runs)
    values = {
        **counts(finals),
        "n_planned": float(len(set().union(*suite.planned.values()))),
        "n_search": float(len(searched)),
        "spent/finals_device_seconds": _spent(finals),
        "spent/search_device_seconds": _spent(searched),
        "spent/lost_device_seconds": sum(run.result.spent.lost_device_seconds for run in runs),
    }
    table = leaderboard_csv(suite.records)
    return RunContent(
        name=suite.records.name,
        span=span,
        tags={},
        params=joined_params([run.asked for run in finals or runs]),
        points=tuple(at_end(values, step=0, span=span)),
        inputs=tuple(ordered(data for run in runs for data in run.inputs)),
        artifacts=tuple(artifacts(suite.records)),
        tables={TABLE: readable_table(table)} if table.exists() else {},
    )


def suite_fingerprint(suite: TrackedSuite) -> str:
    """Fingerprint of all that the run of a suite is made of."""
    files = [
        [artifact.folder, artifact.path.name, hashlib.sha256(artifact.path.read_bytes()).hexdigest()]
        for artifact in artifacts(suite.records)
    ]
    return digest([LAYOUT, fingerprints(suite.runs), files])


def artifacts(records: SuiteRecords) -> Iterator[Artifact]:
    """The selection, the suite as it was written, and every file of the leaderboard, in a fixed order."""
    if records.selection is not None:
        yield Artifact(records.store.selection_path)
        yield Artifact(records.root / "suites" / f"{records.selection.suite_hash}.yaml", "suites")
    for path in sorted(records.store.leaderboard.rglob("*")):
        if path.is_file() and not path.name.startswith("."):  # dots: half-written ones
            yield Artifact(path, path.parent.relative_to(records.root).as_posix())


def leaderboard_csv(records: SuiteRecords) -> Path:
    """Where the leaderboard lies once it is written."""
    return records.store.leaderboard / "leaderboard.csv"


def leaderboard_is_current(records: SuiteRecords) -> bool:
    """Whether the tables are younger than all that they are made from; False where there are none."""
    table = leaderboard_csv(records)
    sources = [records.store.selection_path, *(run.folder.path / "result.json" for run in records.runs)]
    return table.exists() and table.stat().st_mtime >= max(p.stat().st_mtime for p in sources if p.exists())


def _spent(runs: Iterable[TrackedRun]) -> float:
    return sum(run.result.spent.useful_device_seconds for run in runs)


def readable_table(path: Path) -> pd.DataFrame:
    """The leaderboard with the most wanted columns first, those with one value in all rows last, and no empty ones.

    Raises:
        RecordError: The file is no csv.
    """
    try:
        frame = pd.read_csv(path).dropna(axis="columns", how="all")
    except ValueError as error:  # pandas' parsing errors are ValueErrors
        raise RecordError(f"{path}: not a table ({error}); `harness leaderboard` writes it again") from None
    first = [name for name in FIRST_COLUMNS if name in frame]
    others = [name for name in frame if name not in first]
    rest = sorted(others, key=lambda name: frame[name].nunique(dropna=False) == 1)
    return frame[[*first, *rest]].round(DECIMALS)
