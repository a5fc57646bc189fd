"""What is mirrored: the runs of a suite that have ended, by entry, and which of them its selection chose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Literal

from harness.api.strict import canonical_json, digest
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import Result, Run
from harness.tracking.series import Span, case_metrics

LAYOUT = 7
"""Raised when the same records give other runs, so that tracking again replaces the old ones."""

DIGEST_LENGTH = 12
"""Of the hexadecimal digits of a dataset's checksum; the whole one is in `source`."""


@dataclass(frozen=True)
class Input:
    """One split of a dataset version, by names and checksums.

    MLflow tells inputs apart by name and digest, so the name says the split.
    """

    name: str
    context: Literal["train", "validation", "test"]
    digest: str
    source: str
    profile: str = "{}"


@dataclass(frozen=True, eq=False)
class TrackedRun:
    """A run that has ended, its entry, and its rung of the suite's ladder, if any."""

    record: RunRecord
    result: Result
    entry: str
    rung: int | None

    @property
    def asked(self) -> Run:
        return self.record.run

    @property
    def labelled(self) -> str:
        """Labelled patients as text, `all` for the fully supervised reference."""
        return "all" if self.asked.labelled is None else str(self.asked.labelled)

    @property
    def table(self) -> str:
        """The runs that one mean is about: labelled_3, and on a ladder labelled_3_rung_500."""
        return f"labelled_{self.labelled}" + ("" if self.rung is None else f"_rung_{self.rung}")

    @property
    def is_search(self) -> bool:
        return self.asked.role == "search"

    @cached_property
    def fingerprint(self) -> str:
        return digest([LAYOUT, self.rung, self.result.model_dump(mode="json")])

    @cached_property
    def span(self) -> Span:
        """From the first line of the ledger to the end of the run."""
        end = milliseconds(self.result.finished_at)
        return Span(min([end, *(milliseconds(line.at) for line in self.record.ledger[:1])]), end)

    @property
    def opened_test(self) -> bool:
        return self.record.ok and not self.is_search

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The data that it read; test if its cases were opened."""
        asked, data = self.asked, self.asked.dataset
        labelled = "all labelled" if asked.labelled is None else f"{asked.labelled} labelled, subset {asked.subset}"
        drawn = canonical_json({"labelled_patients": asked.labelled or "all", "subset": asked.subset})
        source = canonical_json({"dataset": data.name, "version": data.version, "checksum": data.checksum})
        where = data.checksum[:DIGEST_LENGTH], source
        train = Input(f"{data.name} train ({labelled})", "train", *where, profile=drawn)
        inputs = train, Input(f"{data.name} validation", "validation", *where)
        return (*inputs, Input(f"{data.name} test", "test", *where)) if self.opened_test else inputs

    @cached_property
    def test_metrics(self) -> Mapping[str, float]:
        """Metrics of its test cases; none for a run that opened no test split."""
        return case_metrics(self.record.cases_table.to_pandas()) if self.opened_test else {}


def milliseconds(at: str) -> int:
    """ISO 8601 (UTC unless it says otherwise) as milliseconds since 1970."""
    time = datetime.fromisoformat(at)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


class TrackedSuite:
    """The runs of a suite that have ended.

    planned: ids of the finals in the current selection, by entry.
    chosen:  ids of these, and of the trials whose configuration they run with.
    """

    def __init__(self, records: SuiteRecords) -> None:
        self.records = records
        entry_of, rungs = records.entry_of, {run.id: entry.planned_run.rung for entry, run in records.selected}
        self.runs = [
            TrackedRun(record, record.result, entry_of.get(record.id, record.run.method), rungs.get(record.id))
            for record in records.runs
            if record.result is not None
        ]
        self.planned: dict[str, set[str]] = {}
        for entry, run in records.selected:
            self.planned.setdefault(entry.planned_run.entry, set()).add(run.id)
        trained_with = {entry.trial.run for entry, _ in records.selected if entry.trial is not None}
        self.chosen = trained_with.union(*self.planned.values())

    @property
    def leaderboard(self) -> Path:
        return self.records.store.leaderboard / "leaderboard.csv"

    @cached_property
    def entries(self) -> dict[str, list[TrackedRun]]:
        """Runs by entry, in the order of the entries' names."""
        entry = attrgetter("entry")
        return {name: list(runs) for name, runs in groupby(sorted(self.runs, key=entry), key=entry)}

    def selected_finals(self, runs: Sequence[TrackedRun]) -> list[TrackedRun]:
        return [run for run in runs if not run.is_search and run.record.id in self.chosen]


def counts(finals: Sequence[TrackedRun]) -> dict[str, float]:
    ok = sum(run.record.ok for run in finals)
    return {"n_ok": float(ok), "n_failed": float(len(finals) - ok)}


def whole_span(runs: Sequence[TrackedRun]) -> Span:
    return Span(min(run.span.start_ms for run in runs), max(run.span.end_ms for run in runs))


def fingerprint(runs: Sequence[TrackedRun], *more: object) -> str:
    """Of runs in any order, and of what else an MLflow run above them is made of."""
    return digest([LAYOUT, sorted([run.record.id, run.fingerprint] for run in runs), *more])
