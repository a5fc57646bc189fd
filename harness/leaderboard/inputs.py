"""Records of a suite as frames: every selected run is a row, whether it ran, failed or is still to run.

Runs that ran under different conditions (device model, torch, precision, data, budget, protocol) never share a table.
They are grouped into separate comparisons instead of refused: a suite that was finished on a second machine still
gives every table that its records support, and each title names the conditions that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.api.errors import UsageError
from harness.leaderboard.conditions import Conditions, describe_differences, titles
from harness.leaderboard.fitness import Places, unfit_reasons
from harness.leaderboard.rows import RUN_COLUMNS, VALIDATION_COLUMNS, cell, read_search, run_row, validation_rows
from harness.leaderboard.scores import CHECKPOINTS, Key, Scores, Summary, count_structures, read_scores, summarise
from harness.records.accounts import Reconciliation
from harness.records.calibration import judge_cells
from harness.records.reader import CASE_COLUMNS, RunRecord, SuiteRecords
from harness.records.schema import Engine
from harness.records.suite_folder import SelectionEntry

_READERS = 4
"""Files read at once: most of the time goes into waiting for the disk, or the network."""


@dataclass(frozen=True)
class Comparison:
    """Runs that may share a table.

    number:     from 1; the comparison with the most finished runs comes first.
    title:      the conditions in which it differs from the suite's other comparisons; empty if it is the only one.
    conditions: what all its runs share; None while nothing has run.
    commits:    commits of the code that ran (shown, not compared).
    runs:       one row per selected run of the suite, columns as in `rows.RUN_COLUMNS`.
    cases:      CASE_COLUMNS of the ok runs, with run, cell, entry, labelled, subset and seed.
    validations: validations of the ok runs, columns as in `rows.VALIDATION_COLUMNS`, with the same.
    data_warnings: what was warned of when the data was prepared.
    voxel_sizes: where voxel sizes, and with them millimetres, come from.
    """

    number: int
    title: str
    conditions: Conditions | None
    commits: tuple[str, ...]
    runs: pd.DataFrame
    cases: pd.DataFrame
    validations: pd.DataFrame
    data_warnings: tuple[str, ...] = ()
    voxel_sizes: tuple[str, ...] = ()

    @cached_property
    def scores(self) -> dict[Key, Scores]:
        """(metric, checkpoint, cell, class_name) -> scores by patient and run."""
        return read_scores(self.cases)

    @cached_property
    def summaries(self) -> dict[Key, Summary]:
        """The same keys -> mean, interval and spread."""
        return summarise(self.scores)

    @cached_property
    def structures(self) -> pd.DataFrame:
        """checkpoint, cell, class_name, n_structures, n_missed, n_spurious."""
        return count_structures(self.cases)

    @property
    def checkpoints(self) -> list[str]:
        """Checkpoint rules that have records; the primary one is always shown."""
        recorded = set(self.cases["checkpoint"].unique())
        return [name for name in CHECKPOINTS if name == CHECKPOINTS[0] or name in recorded]

    @cached_property
    def labelled_counts(self) -> list[int | None]:
        """Labelled counts that have a table; [None] if there are only references, which then get one of their own."""
        ranked = self._listed[~self._listed["reference"]]
        counts: list[int | None] = [int(count) for count in sorted(ranked["labelled"].unique())]
        return counts or [None]

    @property
    def _listed(self) -> pd.DataFrame:
        """Runs of this comparison. Missing runs are listed in the first comparison alone."""
        others = ["elsewhere"] if self.number == 1 else ["elsewhere", "missing"]
        return self.runs[~self.runs["status"].isin(others)]

    @cached_property
    def listing(self) -> pd.DataFrame:
        """The cells of every table in the order of the selection: table, labelled, block, entry and cell.

        A reference is in the table of every count.
        """
        listed = self.runs[self.runs["cell"].isin(self._listed["cell"])].drop_duplicates("cell")
        rows = [
            (self.number, labelled, "reference" if run["reference"] else "ranked", run["entry"], run["cell"])
            for labelled in self.labelled_counts
            for run in listed.to_dict("records")
            if run["reference"] or run["labelled"] == labelled
        ]
        return pd.DataFrame(rows, columns=["table", "labelled", "block", "entry", "cell"])

    def runs_of(self, cell: str) -> pd.DataFrame:
        """The rows of `runs` that one cell has, those that ran elsewhere among them."""
        return self.runs[self.runs["cell"] == cell]


def rows_of(frame: pd.DataFrame, table: int, labelled: int | None) -> pd.DataFrame:
    """The rows that a frame has of one table."""
    same = frame["labelled"].isna() if labelled is None else frame["labelled"] == labelled
    return frame[(frame["table"] == table) & same]


@dataclass(frozen=True)
class LeaderboardInput:
    """All that the tables of one suite are computed from; at least one comparison.

    declared:       cell -> engine settings in which it differs from the suite's, "optimiser.nesterov = True".
    search:         the trials, columns as in `rows.SEARCH_COLUMNS`; without rows where nothing was searched.
    reconciliation: what Slurm charged; None where the accounts were never read.
    """

    suite: str
    comparisons: tuple[Comparison, ...]
    declared: dict[str, str]
    search: pd.DataFrame
    reconciliation: Reconciliation | None


_Selected = tuple[SelectionEntry, RunRecord, Conditions | None]
"""A planned run with its record, and the conditions that it ran under; None as long as it has no result.

Several planned runs may share a record: a search can lead two entries to the same configuration.
"""


def read_input(records: SuiteRecords) -> LeaderboardInput:
    """Read the runs of the current selection.

    Raises:
        UsageError: one method was run in two versions.
        RecordError: a record is missing, damaged or newer than this version.
    """
    selection = records.require_selection()
    runs = [(entry, record, _conditions(record)) for entry, record in records.selected]
    _refuse_mixed_versions(records, runs)
    counts = Counter(conditions for _, record, conditions in runs if record.ok and conditions is not None)
    groups = sorted({own for *_, own in runs if own is not None}, key=lambda c: (-counts[c], c))
    titled: list[tuple[Conditions | None, str]] = [*zip(groups, titles(groups), strict=True)] or [(None, "")]
    ended = ((cell(entry.planned_run), record.run, record.validations) for entry, record, _ in runs if record.ok)
    costly = {
        name: f"a step of stage {stage} costs {judged.deviation:+.0%} against its calibration"
        for (name, stage), judged in judge_cells(ended, records.store.calibrations()).items()
        if judged.verdict == "not ranked"
    }
    comparisons = [_comparison(runs, costly, number, *group) for number, group in enumerate(titled, start=1)]
    declared = _declared_engines(runs, selection.engine)
    return LeaderboardInput(records.name, tuple(comparisons), declared, read_search(records), records.reconciliation)


def _declared_engines(runs: Sequence[_Selected], usual: Engine) -> dict[str, str]:
    by_cell: dict[str, list[Engine]] = {}
    for entry, record, _ in runs:
        if record.result is not None:
            by_cell.setdefault(cell(entry.planned_run), []).append(record.run.engine)
    texts = {name: describe_differences(engines, usual) for name, engines in by_cell.items()}
    return {name: text for name, text in texts.items() if text}


def _conditions(record: RunRecord) -> Conditions | None:
    environment = record.environment
    return None if environment is None else Conditions.of(record.run, environment)


def _refuse_mixed_versions(records: SuiteRecords, runs: Sequence[_Selected]) -> None:
    ended = ((entry.planned_run.entry, record) for entry, record, _ in runs if record.result is not None)
    ran = [(method, record.run.method_version, record.id[:10]) for method, record in ended]
    for method, own in pd.DataFrame(ran, columns=["entry", "version", "run"]).groupby("entry", sort=False):
        by_version = own.groupby("version")["run"].agg(", ".join)
        if len(by_version) > 1:
            listed = "; ".join(f"version {version}: {ids}" for version, ids in by_version.items())
            raise UsageError(
                f"{records.store.selection_path}: {method} was run in {len(by_version)} versions ({listed}). One table "
                "never mixes versions of a method. Run the suite again: it selects the current version and runs what "
                "is missing."
            )


def _status(record: RunRecord, conditions: Conditions | None, group: Conditions | None) -> str:
    if record.result is None:
        return "missing"
    return record.result.status if conditions is None or conditions == group else "elsewhere"


def _comparison(
    runs: Sequence[_Selected], costly: Mapping[str, str], number: int, group: Conditions | None, title: str
) -> Comparison:
    """costly: why the runs of a cell are in no number, by cell."""
    rows = [run_row(entry, record, _status(record, own, group)) for entry, record, own in runs]
    frame = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    finished, cases, places = _judge(frame, [record for _, record, _ in runs], costly)
    ids = frame[["run", "cell", "entry", "labelled", "subset", "seed"]]
    validations = pd.DataFrame(
        [row for record in dict.fromkeys(finished) for row in validation_rows(record)], columns=list(VALIDATION_COLUMNS)
    )
    shown = [record.environment.shown for record in finished if record.environment is not None]
    commits = {facts.get("commit") for facts in shown}
    warnings = dict.fromkeys(line for facts in shown for line in (facts.get("data_warnings") or "").splitlines())
    return Comparison(
        number=number,
        title=title,
        conditions=group,
        commits=tuple(sorted(commit for commit in commits if commit)),
        runs=frame.astype({"labelled": "Int64"}),
        cases=_identified(cases, places, ids[frame["status"] == "ok"]),
        validations=validations.astype({"unlabelled_dice": "float64"}).merge(ids, on="run", how="left"),
        data_warnings=tuple(warnings),
        voxel_sizes=tuple(dict.fromkeys(source for facts in shown if (source := facts.get("voxel_size")))),
    )


def _judge(
    frame: pd.DataFrame, records: Sequence[RunRecord], costly: Mapping[str, str]
) -> tuple[list[RunRecord], pd.DataFrame, Places]:
    """The runs that are ok, their per-case records, and the place of each row among them.

    A finished run whose records do not fit is "unfit" in `frame` from then on, with the reason: it is in no number.
    """
    ended = [i for i, status in enumerate(frame["status"]) if status == "ok"]
    if not ended:
        return [], pd.DataFrame(), np.empty(0, np.int64)
    with ThreadPoolExecutor(_READERS) as readers:
        cases, places = _joined(list(readers.map(lambda i: records[i].cases_table, ended)))
    reasons = unfit_reasons(cases, places, [records[i].validations for i in ended])
    reasons = [reason or costly.get(str(frame.loc[i, "cell"])) for i, reason in zip(ended, reasons, strict=True)]
    for i, reason in zip(ended, reasons, strict=True):
        if reason is not None:
            frame.loc[i, ["status", "failure_reason"]] = "unfit", reason
    fit = np.array([reason is None for reason in reasons])
    if not fit.all():
        cases, places = cases[fit[places]].reset_index(drop=True), (np.cumsum(fit) - 1)[places[fit[places]]]
    return [records[i] for i, fits in zip(ended, fit, strict=True) if fits], cases, places


def _joined(tables: Sequence[pa.Table]) -> tuple[pd.DataFrame, Places]:
    """All rows, and the table of each. Words are categories: there are few different ones in up to millions of rows."""
    cases: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas(strings_to_categorical=True)
    cases = cases.astype({name: "float64" for name in CASE_COLUMNS if name.endswith(("_voxel", "_mm"))})
    return cases, np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])


def _identified(cases: pd.DataFrame, places: Places, ids: pd.DataFrame) -> pd.DataFrame:
    """Per-case records with the `ids` of their runs, one row per run; the columns alone where there are no runs."""
    if ids.empty:
        return pd.DataFrame(columns=["run", *CASE_COLUMNS, *ids.columns.drop("run")])
    partly_known = [name for name in CASE_COLUMNS if name.endswith("_mm") and cases[name].isna().any()]
    cases[partly_known] = np.nan  # a mean over the volumes of known voxel size would be one of other patients
    words = ids.astype(dict.fromkeys(("run", "cell", "entry"), "category"))
    repeated = words.iloc[places].reset_index(drop=True)
    return pd.concat([repeated[["run"]], cases, repeated.drop(columns="run")], axis=1)
