"""Label maps from elsewhere that were scored on a test split, and each time that the split was opened for them.

RUNS/scored/<dataset>/uses.jsonl              a line for each use, appended before the split is opened
RUNS/scored/<dataset>/<scoring>/score.json    what was scored
                               /cases.parquet its metrics, as of a run
                   /imported/<id>/            the same of another RUNS, as an export brought it

Final runs open the split once each; a use's number counts them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from harness.api.errors import DiskError, RecordError
from harness.api.strict import Instant, Strict, now
from harness.records.append_only import AppendOnly
from harness.records.case_file import pack_cases
from harness.records.cases import parse_cases
from harness.records.checksums import sha256
from harness.records.files import disk_errors, is_there, read_content, read_record, write_bytes, write_record
from harness.records.lease import Lease
from harness.records.schema import DatasetRef
from harness.records.suite_folder import SuiteFolder

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


PATIENCE_SECONDS = 60.0
"""For another process to append its line."""
ID_DIGITS = 16


class Use(Strict):
    """One line of uses.jsonl: the test split is about to be opened."""

    schema_version: Literal[2] = 2
    scoring: int = Field(ge=1, description="counts the lines")
    final_runs: int = Field(ge=0, description="final runs on record in RUNS that had opened the split before")
    imported: int = Field(0, ge=0, exclude_if=lambda count: not count, description="uses elsewhere, known by then")
    name: str = Field(min_length=1, max_length=40)
    note: str = Field(max_length=300)
    at: Instant
    dataset: DatasetRef
    predictions_sha256: str

    @property
    def number(self) -> int:
        return self.final_runs + self.imported + self.scoring


class Score(Strict):
    """score.json: the use that made cases.parquet, and what its surface Dice tolerates in voxels and mm."""

    schema_version: Literal[2] = 2
    use: Use
    nsd_tolerance: tuple[float, float]
    cases_sha256: str


class UseLog:
    """Numbered uses, and what they gave: a folder with uses.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = AppendOnly(path / "uses.jsonl", Use)

    @property
    def id(self) -> str:
        """The same wherever it was copied to: the beginning of its first line's sha256."""
        return sha256(read_content(self.log.path).partition(b"\n")[0])[:ID_DIGITS] if is_there(self.log.path) else ""

    def uses(self) -> list[Use]:
        """All uses in order. Raises `RecordError` where a line is damaged or was taken out."""
        uses = self.log.lines()
        if [use.scoring for use in uses] != list(range(1, len(uses) + 1)):
            raise RecordError(f"{self.log.path}: lines are missing or were added by hand; restore it from a copy")
        return uses

    def scores(self) -> Iterator[tuple[Score, pa.Table]]:
        """What each use that has a result gave, in order. Raises `RecordError` for what is damaged or foreign."""
        for use in self.uses():
            path = self.path / str(use.scoring) / "score.json"
            if is_there(path):
                score, table = read_record(path, Score), path.with_name("cases.parquet")
                content = read_content(table)
                if score.use != use or sha256(content) != score.cases_sha256:
                    raise RecordError(f"{path.parent}: does not belong to {self.log.path}; restore both from a copy")
                yield score, parse_cases(content, table)

    def files(self) -> Iterator[Path]:
        """Those that an export takes along."""
        yield self.log.path
        yield from sorted(path for path in self.path.glob("[0-9]*/*") if path.name in ("score.json", "cases.parquet"))


class ScoredFolder(UseLog):
    """RUNS/scored/<dataset>: the uses of this RUNS, and below imported/ those of others."""

    def __init__(self, runs: Path, dataset: str) -> None:
        super().__init__(runs / "scored" / dataset)
        self.runs = runs
        self.dataset = dataset

    def logs(self) -> list[UseLog]:
        """All that there are, its own first."""
        logs = [self, *(UseLog(path) for path in sorted(self.path.glob("imported/*")))]
        return [log for log in logs if is_there(log.log.path)]

    def home(self, log_id: str) -> Path:
        """The folder of the log with this id: its own, where it comes back from elsewhere."""
        return self.path if self.id == log_id else self.path / "imported" / log_id

    def record_use(self, name: str, note: str, dataset: DatasetRef, predictions_sha256: str) -> Use:
        """Append a use, before the split is opened. Two at once get different numbers."""
        finals = count_final_runs(self.runs, self.dataset)
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with Lease(self.path / "lease").held_for(PATIENCE_SECONDS):
            use = Use(
                scoring=len(self.uses()) + 1,
                final_runs=finals,
                imported=sum(len(log.uses()) for log in self.logs() if log.path != self.path),
                name=name,
                note=note,
                at=now(),
                dataset=dataset,
                predictions_sha256=predictions_sha256,
            )
            self.log.append(use)
        return use

    def write(self, use: Use, cases: pd.DataFrame, nsd_tolerance: tuple[float, float]) -> Path:
        """Write what a use gave, score.json last. Returns its folder."""
        folder = self.path / str(use.scoring)
        table = folder / "cases.parquet"
        content = pack_cases(cases)
        write_bytes(table, content)
        write_record(folder / "score.json", Score(use=use, nsd_tolerance=nsd_tolerance, cases_sha256=sha256(content)))
        return folder


def find_scored_flaws(runs: Path) -> Iterator[str]:
    """A line for each dataset in RUNS/scored whose records are damaged."""
    for path in sorted((runs / "scored").glob("*")):
        try:
            for log in ScoredFolder(runs, path.name).logs():
                list(log.scores())
        except (RecordError, DiskError) as error:
            yield str(error)


def find_packed_flaws(folder: Path) -> Iterator[str]:
    """A line for each log in an unpacked export that is damaged or in a wrong place."""
    for path in sorted(folder.glob("scored/*/*")):
        log = UseLog(path)
        try:
            list(log.scores())
            if log.id != path.name or {use.dataset.name for use in log.uses()} != {path.parent.name}:
                yield f"{log.log.path}: is not the log that its folder's name says"
        except RecordError as error:
            yield str(error)


def count_final_runs(runs: Path, dataset: str) -> int:
    """How many final runs on record in RUNS have opened the test split of a dataset; one that suites share did once."""
    folders = (SuiteFolder(path.parent) for path in sorted(runs.glob("*/suites")))
    tested = {run.id: run for suite in folders for run in suite.folders() if is_there(run.final)}
    return sum(run.run.dataset.name == dataset for run in tested.values())
