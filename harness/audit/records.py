"""The parts of a suite's records that the rules are checked on. Loads no torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa

from harness.api.errors import RecordError
from harness.api.params import OptimiserSettings
from harness.api.progress import poly
from harness.records.accounts import Reconciliation
from harness.records.calibration import Calibration
from harness.records.cases import Block, Cases
from harness.records.ledger import LedgerLine
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import Environment, Observed, PlannedRun, Result, Run
from harness.records.suite_folder import Selection, Trials


@dataclass(frozen=True)
class Trace:
    """Of the steps on record.

    seconds:    charged for all steps, without what stages did before their first one.
    replayable: each step has the progress that its schedules saw.
    rate_error: largest relative difference of a step's learning rate from its stage's first rate times the engine's
                schedule of stage progress; 0 where the rate is a function of progress alone.
    """

    steps: int
    seconds: float
    replayable: bool
    rate_error: float


@dataclass(frozen=True, eq=False)
class AuditedRun:
    """A run on record. asked: what determines its numbers. result: None while it has not ended."""

    id: str
    asked: Run
    ledger: tuple[LedgerLine, ...]
    result: Result | None
    tested: bool

    @property
    def failed(self) -> bool:
        return self.result is not None and self.result.status == "failed"

    def in_currency(self, steps: float, seconds: float) -> float:
        return self.asked.budget.spent(int(steps), seconds)


@dataclass(frozen=True, eq=False)
class SelectedRun(AuditedRun):
    """A run that the current selection names.

    final_sha256: of the weights when the test split was opened; None where no final.json lies.
    trace:        of its history; None unless it finished well, and where an export left the history out.
    cases:        None unless it finished well and was tested.
    """

    planned_run: PlannedRun
    environment: Environment | None
    final_sha256: str | None
    trace: Trace | None
    cases: pa.Table | None

    @property
    def entry(self) -> str:
        return self.planned_run.entry

    @property
    def name(self) -> str:
        """As people find it: ua_mt/7/0/1 (runs/0aca010cfa)."""
        return f"{self.planned_run} (runs/{self.id[:10]})"


@dataclass(frozen=True, eq=False)
class EndedRun(SelectedRun):
    result: Result

    @property
    def labelled_alone(self) -> bool:
        """Whether it trained, and on labelled images alone."""
        return 0 < self.result.images_seen == self.result.labelled_images_seen

    @property
    def device_type(self) -> str:
        """cpu or cuda; empty where the run ended before it had an environment."""
        return "" if self.environment is None else self.environment.device_type

    @property
    def observed(self) -> Observed:
        """What the engine saw the method do. Raises `RecordError` for a run that finished without it."""
        if self.result.observed is None:
            raise RecordError(f"{self.name}/result.json: observed is missing although the run finished")
        return self.result.observed


@dataclass(frozen=True)
class AuditedSuite:
    """The records of a suite, as the rules see them.

    runs:   those of the current selection that have a record, each once, in its order.
    others: all other runs on record: of a search, or of an earlier version of the suite.
    """

    root: Path
    selection: Selection
    runs: tuple[SelectedRun, ...]
    others: tuple[AuditedRun, ...] = ()
    search: Trials | None = None
    reconciliation: Reconciliation | None = None
    calibrations: tuple[Calibration, ...] = ()

    @cached_property
    def trials(self) -> dict[str, list[AuditedRun]]:
        """Entry of the suite -> the runs of the current search that were tried for it, each once."""
        by_id = {run.id: run for run in self.others}
        by_entry: dict[str, dict[str, AuditedRun]] = {}
        for trial in [] if self.search is None else self.search.trials:
            if trial.run in by_id:
                by_entry.setdefault(trial.entry, {})[trial.run] = by_id[trial.run]
        return {entry: list(runs.values()) for entry, runs in by_entry.items()}

    @cached_property
    def ended(self) -> tuple[EndedRun, ...]:
        return tuple(EndedRun(**vars(run)) for run in self.runs if run.result is not None)

    @cached_property
    def finished(self) -> tuple[EndedRun, ...]:
        return tuple(run for run in self.ended if run.result.status == "ok")

    @cached_property
    def failed(self) -> tuple[EndedRun, ...]:
        return tuple(run for run in self.ended if run.result.status != "ok")

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {run.id: run.cases for run in self.finished if run.cases is not None}

    @cached_property
    def cases(self) -> pd.DataFrame:
        """Per-case records of all finished runs that have them, with a column `run`; empty where there are none."""
        if not self._tables:
            return pd.DataFrame()
        cases: pd.DataFrame = pa.concat_tables(self._tables.values(), promote_options="permissive").to_pandas()
        return cases.assign(run=[run for run, table in self._tables.items() for _ in range(table.num_rows)])

    @property
    def blocks(self) -> list[Block]:
        """The same as matrices; places are those of the finished runs, which all have such records."""
        return Cases.of(self._tables, self.root).blocks(self._tables)

    @property
    def ranked(self) -> list[PlannedRun]:
        return [entry.planned_run for entry in self.selection.entries if entry.ranked]

    def named(self, ids: Iterable[str]) -> list[SelectedRun]:
        """Selected runs by id, in the order of the selection."""
        wanted = set(ids)
        return [run for run in self.runs if run.id in wanted]

    @cached_property
    def declared_baselines(self) -> frozenset[str]:
        """Ranked entries with one augmentation or labelled loss of their own that train on labelled images alone.

        Until a run of theirs has finished they count as such.
        """
        usual, seen_unlabelled = self.selection.engine, {run.entry for run in self.finished if not run.labelled_alone}
        own: dict[str, set[tuple[str, str]]] = {}
        for run in self.runs:
            own.setdefault(run.entry, set()).add((run.asked.engine.augmentation, run.asked.engine.loss))
        ranked = {planned_run.entry for planned_run in self.ranked} - seen_unlabelled
        kept = {(usual.augmentation, usual.loss)}
        return frozenset(
            entry for entry, values in own.items() if entry in ranked and len(values) == 1 and values != kept
        )

    @property
    def planned(self) -> int:
        """Runs that the selection names, each once."""
        return len({entry.run for entry in self.selection.entries})

    @property
    def progress(self) -> str:
        return f"{len(self.finished)} of {self.planned} runs have finished"


def view_suite(records: SuiteRecords) -> AuditedSuite:
    """Take what the rules look at. Raises `RecordError` for a record that is damaged, missing or of another schema."""
    selection = records.require_selection()
    planned_runs = {entry.run: entry.planned_run for entry in reversed(selection.entries)}
    selected = dict.fromkeys(record for _, record in records.selected)
    return AuditedSuite(
        root=records.root,
        selection=selection,
        runs=tuple(_selected_run(record, planned_runs[record.id]) for record in selected if record.exists),
        others=tuple(_audited_run(record) for record in records.runs if record.id not in planned_runs),
        search=records.trials,
        reconciliation=records.reconciliation,
        calibrations=tuple(records.store.calibrations()),
    )


def _selected_run(record: RunRecord, planned_run: PlannedRun) -> SelectedRun:
    return SelectedRun(
        **vars(_audited_run(record)),
        planned_run=planned_run,
        environment=record.environment,
        final_sha256=record.final_sha256,
        trace=read_trace(record) if record.ok else None,  # another process may be writing that of a running one
        cases=record.cases_table if record.ok and record.tested else None,
    )


def _audited_run(record: RunRecord) -> AuditedRun:
    return AuditedRun(record.id, record.run, record.ledger, record.result, record.tested)


def read_trace(record: RunRecord) -> Trace | None:
    """Read a run's history, keep these figures of it; None where there is no history."""
    history = record.folder.history()
    if history.empty:
        return None
    replayable = bool(history[["progress_run", "progress_stage"]].notna().all(axis=None))
    seconds = float(history["step_seconds"].sum())
    return Trace(len(history), seconds, replayable, rate_error(history, record.run.engine.optimiser))


def rate_error(history: pd.DataFrame, settings: OptimiserSettings) -> float:
    """See `Trace.rate_error`. history: columns stage, progress_stage and learning_rate, one row a step."""
    return max(_stage_error(stage, settings) for _, stage in history.groupby("stage", sort=False))


def _stage_error(stage: pd.DataFrame, settings: OptimiserSettings) -> float:
    power = settings.poly_power if settings.schedule == "poly" else 0.0
    factors = [poly(progress, power) for progress in stage["progress_stage"]]
    rates: list[float] = stage["learning_rate"].tolist()
    first = rates[0] / (factors[0] or 1.0)
    scale = first or 1.0  # a rate of 0 stays 0
    return max(abs(rate - first * factor) / scale for rate, factor in zip(rates, factors, strict=True))
