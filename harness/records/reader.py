"""The one reader of a suite's records: every file is parsed at most once, when it is first asked for.

A `SuiteRecords` shows each record as it was at the first reading; a command that follows a suite makes a new one each
time. Runs that ended come as columns, perhaps from an index, in `SuiteRecords.ended`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api.errors import RecordError, UsageError
from harness.records.accounts import Reconciliation
from harness.records.files import disk_errors, is_there, read_record
from harness.records.ledger import LedgerLine, summarise
from harness.records.run_folder import RunFolder
from harness.records.schema import Environment, FinalWeights, Result, Run, Spent, Validation
from harness.records.suite_folder import Selection, SelectionEntry, SuiteFolder, Trials

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.records.cases import Cases
    from harness.records.ended import EndedRuns


class RunRecord:
    """One run, as its folder shows it. Raises `RecordError` for a file that is damaged, foreign or missing."""

    def __init__(self, folder: RunFolder, suite: SuiteRecords) -> None:
        self.folder = folder
        self.id = folder.id
        self._suite = suite
        self._cases_table: pa.Table | None = None

    @cached_property
    def exists(self) -> bool:
        """Whether the run has a folder. A planned one may have none yet."""
        return is_there(self.folder.path / "run.json")

    @property
    def run(self) -> Run:
        return self.folder.run

    @property
    def label(self) -> str:
        """Short text for people, with the name of its entry in the suite."""
        return self.run.label_in(self._suite.entry_of.get(self.id, self.run.method))

    @cached_property
    def result(self) -> Result | None:
        """How it ended. None while it has not."""
        return self.folder.result()

    @property
    def ok(self) -> bool:
        return self.result is not None and self.result.status == "ok"

    @cached_property
    def ledger(self) -> tuple[LedgerLine, ...]:
        return tuple(self.folder.ledger_lines())

    @property
    def spent(self) -> Spent:
        return summarise(self.ledger) if self.result is None else self.result.spent

    @property
    def validations(self) -> list[Validation]:
        return self.folder.validations() if self.result is None else self.result.validations

    @cached_property
    def environment(self) -> Environment | None:
        """Where its numbers were made, as shown by its last attempt. None without a result."""
        if self.result is None or not self.result.environment:
            return None
        path = self.folder.path / "result.json"
        return self._suite.environment(self.result.environment, path, self.result.shown)

    @cached_property
    def tested(self) -> bool:
        return is_there(self.folder.path / "cases.parquet")

    @property
    def cases_table(self) -> pa.Table:
        """Per-case records, an Arrow table with the columns `cases.CASE_COLUMNS`."""
        # no cached_property: in Python 3.11 its lock, shared by all runs, would let one thread read at a time
        if self._cases_table is None:
            from harness.records.cases import read_cases

            self._cases_table = read_cases(self.folder)
        return self._cases_table

    @cached_property
    def final_sha256(self) -> str | None:
        """Hash of the weights when the test split was opened; None where it was not."""
        path = self.folder.final
        return read_record(path, FinalWeights).weights_sha256 if is_there(path) else None


class SuiteRecords:
    """The records of one suite: RUNS/<suite>/."""

    def __init__(self, store: SuiteFolder) -> None:
        self.store = store
        self.root = store.root
        self.name = store.root.resolve().name
        self._runs: dict[str, RunRecord] = {}
        self._environments: dict[str, Environment] = {}

    @classmethod
    def open(cls, root: Path) -> SuiteRecords:
        """Open the folder of a suite. Raises `UsageError` where no records are."""
        return cls(SuiteFolder.open(root))

    @cached_property
    def selection(self) -> Selection | None:
        """The hyper-parameters of each planned run. None while a search goes on."""
        return self.store.selection() if is_there(self.store.selection_path) else None

    def require_selection(self) -> Selection:
        """The selection. Raises `RecordError` where nothing was selected yet."""
        return self.selection or self.store.selection()

    @property
    def selected(self) -> list[tuple[SelectionEntry, RunRecord]]:
        """The planned runs of the current selection in its order, with a record or not."""
        entries = [] if self.selection is None else self.selection.entries
        return [(entry, self.run(entry.run)) for entry in entries]

    @cached_property
    def entry_of(self) -> dict[str, str]:
        """Run id -> the entry of the suite that it counts for, the first if several share a run."""
        trials = [] if self.trials is None else self.trials.trials
        names = {trial.run: trial.entry for trial in reversed(trials)}
        return names | {entry.run: entry.planned_run.entry for entry, _ in reversed(self.selected)}

    @cached_property
    def trials(self) -> Trials | None:
        """The trials of the current search; None without one."""
        return self.store.trials()

    @cached_property
    def reconciliation(self) -> Reconciliation | None:
        """What Slurm charged, as of the last reconciliation. None without one."""
        return self.store.reconciliation()

    @cached_property
    def ended(self) -> EndedRuns:
        """Runs of the current search and selection that have ended, as columns."""
        trials = [] if self.trials is None else self.trials.trials
        entries = [] if self.selection is None else self.selection.entries
        return self.ended_of([*(trial.run for trial in trials), *(entry.run for entry in entries)], keep=True)

    def ended_of(self, runs: Iterable[str], *, keep: bool = False) -> EndedRuns:
        """Those of the runs with these ids that have ended. keep: whether to write the index of them."""
        from harness.records.ended import read_ended

        return read_ended(self.root, runs, lambda run: self.run(run).folder, keep=keep)

    def cases_of(self, runs: Iterable[str]) -> Cases:
        """Per-case records of runs that finished, by their ids, as matrices."""
        from harness.records.cases import read_all_cases

        return read_all_cases(self.root, runs, lambda run: self.run(run).folder)

    @cached_property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run on record, by id."""
        return tuple(self.run(folder.id) for folder in self.store.folders())

    def run(self, run_id: str) -> RunRecord:
        """The run with that id, whether it has a folder or not."""
        if run_id not in self._runs:
            self._runs[run_id] = RunRecord(self.store.by_id(run_id), self)
        return self._runs[run_id]

    def find(self, name: str) -> RunRecord:
        """Find one run on record by the name of its planned run (ua_mt/7/0/1), its id, or the beginning of that.

        Raises `UsageError` where no run or several match.
        """
        planned = {str(entry.planned_run): entry.run for entry, _ in self.selected}
        return self.run(find_id(name, planned, [run.id for run in self.runs], f"in {self.root}"))

    def environment(
        self, fingerprint: str, named_by: Path, shown: Mapping[str, str | None] | None = None
    ) -> Environment:
        """The environment of that fingerprint.

        named_by: where it is named, for messages; shown: of one run, in place of what is on record.
        """
        if fingerprint not in self._environments:
            path = self.root / "environments" / f"{fingerprint}.json"
            if not is_there(path):
                raise RecordError(f"{path} is missing; {named_by} names it")
            environment = read_record(path, Environment)
            if environment.fingerprint != fingerprint:
                raise RecordError(f"{path}: is not the environment that its name says")
            self._environments[fingerprint] = environment
        environment = self._environments[fingerprint]
        return environment.model_copy(update={"shown": dict(shown)}) if shown else environment


def find_run(path: Path) -> RunRecord:
    """Find a run by one path: SUITE FOLDER/NAME as runs/acdc_mini/ua_mt/7/0/1, or its own folder.

    Raises `UsageError` where no run or several match.
    """
    for folder in path.parents:
        if is_there(folder / "suites"):
            return SuiteRecords.open(folder).find(path.relative_to(folder).as_posix().removeprefix("runs/"))
    raise UsageError(f"{path}: no run; name it as RUNS/SUITE/ENTRY/LABELLED/SUBSET/SEED or by its folder")


def find_id(name: str, ids_by_name: Mapping[str, str], ids: Iterable[str], where: str) -> str:
    """The id of a run by its name or the beginning of its id. Raises `UsageError` where no run or several match."""
    wanted = ids_by_name.get(name, name)
    matches = [each for each in dict.fromkeys(ids) if wanted and each.startswith(wanted)]
    if len(matches) != 1:
        some = ", ".join(list(ids_by_name)[:4])
        raise UsageError(f"{name!r} names {len(matches)} runs {where}; use an id or a name such as {some}")
    return matches[0]


def leftovers(suite: SuiteRecords, *, weights: bool = False) -> dict[Path, int]:
    """Sizes of files that can be deleted: checkpoints of runs that ended well, and half-written ones beside them.

    A failed run keeps its checkpoint. weights: whether these can go, too.
    """
    paths: list[Path] = []
    for run in suite.runs:
        if run.result is not None and run.result.status != "failed" and not run.folder.lease.held():
            for path in (run.folder.checkpoint, *([run.folder.weights] if weights else [])):
                paths += sorted([*run.folder.path.glob(path.name), *run.folder.path.glob(f".{path.name}.*")])
    return {path: path.stat().st_size for path in paths}


def delete(files: Iterable[Path]) -> None:
    """Delete them, as far as they are there. Raises `DiskError` where that is not allowed."""
    for path in files:
        with disk_errors(path):
            path.unlink(missing_ok=True)
