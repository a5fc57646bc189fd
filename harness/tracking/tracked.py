"""What is mirrored: the runs of a suite that have ended, by entry, and which of them its selection chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from harness.api.strict import digest
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import Result, Run
from harness.tracking.inputs import Input, run_inputs
from harness.tracking.series import Span, case_metrics

LAYOUT = 4
"""Raised when the same records give other runs, so that tracking again replaces the old ones."""


@dataclass(frozen=True, eq=False)
class TrackedRun:
    """A run that has ended, and the entry of the suite that it belongs to."""

    record: RunRecord
    result: Result
    entry: str

    @property
    def asked(self) -> Run:
        """What determines the run's numbers."""
        return self.record.run

    @property
    def labelled(self) -> str:
        """Labelled patients as text, `all` for the fully supervised reference."""
        return "all" if self.asked.labelled is None else str(self.asked.labelled)

    @property
    def is_search(self) -> bool:
        """Whether it is a trial of a search; a final otherwise."""
        return self.asked.role == "search"

    @cached_property
    def fingerprint(self) -> str:
        """Of all that its mirrored run is made of."""
        return digest([LAYOUT, self.result.model_dump(mode="json")])

    @cached_property
    def span(self) -> Span:
        """From the first line of the ledger to the end of the run."""
        end = milliseconds(self.result.finished_at)
        return Span(min([end, *(milliseconds(line.at) for line in self.record.ledger[:1])]), end)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The data that it read; a final that has numbers opened the test split, a trial never does."""
        return run_inputs(self.asked, tested=self.record.ok and not self.is_search)

    @cached_property
    def test_metrics(self) -> Mapping[str, float]:
        """Metrics of its test cases; none for a run that opened no test split. A damaged file is a `RecordError`."""
        opened = self.record.ok and (self.record.tested or not self.is_search)
        return case_metrics(self.record.cases_table.to_pandas()) if opened else {}


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
        entries = [] if records.selection is None else records.selection.entries
        trials = [] if records.trials is None else records.trials.trials
        named = [(trial.run, trial.entry) for trial in trials] + [
            (entry.run, entry.planned_run.entry) for entry in entries
        ]
        entry_of = dict(reversed(named))  # a run belongs to the first that names it
        self.runs = [
            TrackedRun(record, record.result, entry_of.get(record.id, record.run.method))
            for record in records.runs
            if record.result is not None
        ]
        self.planned: dict[str, set[str]] = {}
        for entry in entries:
            self.planned.setdefault(entry.planned_run.entry, set()).add(entry.run)
        trained_with = {entry.trial.run for entry in entries if entry.trial is not None}
        self.chosen = trained_with.union(*self.planned.values())

    @cached_property
    def entries(self) -> dict[str, list[TrackedRun]]:
        """Runs by entry, in the order of the entries' names."""
        by_entry: dict[str, list[TrackedRun]] = {}
        for run in sorted(self.runs, key=lambda run: run.entry):
            by_entry.setdefault(run.entry, []).append(run)
        return by_entry

    def selected_finals(self, runs: Sequence[TrackedRun]) -> list[TrackedRun]:
        """Those finals among the runs that the current selection names."""
        return [run for run in runs if not run.is_search and run.record.id in self.chosen]


def counts(finals: Sequence[TrackedRun]) -> dict[str, float]:
    """How many have numbers and how many failed."""
    ok = sum(run.record.ok for run in finals)
    return {"n_ok": float(ok), "n_failed": float(len(finals) - ok)}


def whole_span(runs: Sequence[TrackedRun]) -> Span:
    """From the start of the first run to the end of the last."""
    return Span(min(run.span.start_ms for run in runs), max(run.span.end_ms for run in runs))


def fingerprints(runs: Sequence[TrackedRun]) -> list[list[str]]:
    """Id and fingerprint of each run, in order."""
    return sorted([run.record.id, run.fingerprint] for run in runs)
