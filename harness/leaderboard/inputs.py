"""Records of a suite as frames: every selected run is a row, whether it ran, failed or is still to run.

Runs that ran under different conditions (device model, torch, precision, data, budget, protocol) never share a table:
each such group, and each rung of a ladder, is a comparison of its own.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.api.errors import UsageError
from harness.leaderboard.conditions import Conditions, describe_differences, titles
from harness.leaderboard.fitness import fit_block, unfit_reasons
from harness.leaderboard.rows import NO_RUNG, RUN_COLUMNS, read_search, run_frame, validation_frame
from harness.leaderboard.scores import CHECKPOINTS, Key, Scores, Summary, count_structures, read_scores, summarise
from harness.records.accounts import Reconciliation
from harness.records.calibration import judge_cells
from harness.records.cases import CASE_COLUMNS, Cases, no_cases
from harness.records.ended import parse_paces
from harness.records.reader import SuiteRecords
from harness.records.schema import Engine, Environment

CONDITIONS = ["environment", "settings"]


@dataclass(frozen=True)
class Comparison:
    """Runs that may share a table.

    number:     from 1; the shortest rung comes first, and on each rung the comparison with the most finished runs.
    rung:       of the suite's ladder, in reference steps; NO_RUNG without one.
    first:      whether it is the first of its rung. It lists the runs that are missing.
    title:      the conditions in which it differs from the suite's other comparisons.
    conditions: what all its runs share; None while nothing has run.
    devices:    models of the devices that runs ended on; under reference steps there may be several.
    runs:       one row per selected run of the suite, or of the rung, columns as in `rows.RUN_COLUMNS`.
    tested:     what each ok run was tested on, columns `cases.TESTED`, in the order of its per-case records.
    scores:     (metric, checkpoint, cell, class_name) -> scores by patient and run.
    structures: as of `scores.count_structures`.
    validations: of the ok runs, columns as in `rows.VALIDATION_COLUMNS`, with cell, entry, labelled, subset and seed.
    """

    number: int
    rung: int
    first: bool
    title: str
    conditions: Conditions | None
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    runs: pd.DataFrame
    tested: pd.DataFrame
    scores: dict[Key, Scores]
    structures: pd.DataFrame
    validations: pd.DataFrame
    records: SuiteRecords = field(repr=False)
    data_warnings: tuple[str, ...] = ()
    voxel_sizes: tuple[str, ...] = ()

    @cached_property
    def summaries(self) -> dict[Key, Summary]:
        return summarise(self.scores)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """`cases.CASE_COLUMNS` of the ok runs, with run, cell, entry, labelled, subset and seed."""
        return _cases(self.records, self.runs[self.runs["status"] == "ok"])

    @property
    def checkpoints(self) -> list[str]:
        """Checkpoint rules that have records, and the primary one."""
        recorded = set(self.tested["checkpoint"])
        return [name for name in CHECKPOINTS if name == CHECKPOINTS[0] or name in recorded]

    @cached_property
    def labelled_counts(self) -> list[int | None]:
        """Labelled counts that have a table; [None] if there are only references."""
        ranked = self._listed[~self._listed["reference"]]
        counts: list[int | None] = [int(count) for count in sorted(ranked["labelled"].unique())]
        return counts or [None]

    @property
    def _listed(self) -> pd.DataFrame:
        """Runs of this comparison. Missing runs are listed in the first comparison of their rung alone."""
        others = ["elsewhere"] if self.first else ["elsewhere", "missing"]
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

    def ranked_cells(self, labelled: int) -> list[str]:
        listing = self.listing
        return list(listing.loc[(listing["block"] == "ranked") & (listing["labelled"] == labelled), "cell"])

    def runs_of(self, cell: str) -> pd.DataFrame:
        """The rows of `runs` that one cell has, those that ran elsewhere among them."""
        return self._by_cell[cell]

    @cached_property
    def _by_cell(self) -> dict[str, pd.DataFrame]:
        return {str(cell): runs for cell, runs in self.runs.groupby("cell", sort=False)}


def rows_of(frame: pd.DataFrame, table: int, labelled: int | None) -> pd.DataFrame:
    same = frame["labelled"].isna() if labelled is None else frame["labelled"] == labelled
    return frame[(frame["table"] == table) & same]


def labelled_counts(comparisons: Iterable[Comparison]) -> list[int]:
    return sorted({count for each in comparisons for count in each.labelled_counts if count is not None})


@dataclass(frozen=True)
class LeaderboardInput:
    """All that the tables of one suite are computed from; at least one comparison.

    ladder:         rungs that the selection plans, the shortest first; empty where the suite has no ladder.
    failed:         rung -> failed runs, also those that ended before anything was known of their conditions.
    engine:         settings of the suite.
    declared:       cell -> engine settings in which it differs from the suite's, "optimiser.nesterov = True".
    marked:         cell -> why its steps cost something else than calibrated, though not so much that it is unranked.
    search:         the trials, columns as in `rows.SEARCH_COLUMNS`.
    reconciliation: what Slurm charged; None where the accounts were never read.
    """

    suite: str
    comparisons: tuple[Comparison, ...]
    ladder: tuple[int, ...]
    failed: dict[int, int]
    engine: Engine
    declared: dict[str, str]
    marked: dict[str, str]
    search: pd.DataFrame
    reconciliation: Reconciliation | None


def read_input(records: SuiteRecords) -> LeaderboardInput:
    """Read the runs of the current selection. Raises `UsageError` for two versions of a method, `RecordError`."""
    selection = records.require_selection()
    runs = run_frame(selection.entries, records.ended)
    _refuse_mixed_versions(records, runs)
    conditions, ok = _conditions(records, runs), runs["status"] == "ok"
    unranked, marked = _judge_pace(records, runs[ok])
    cases = records.cases_of(runs.loc[ok, "run"])
    comparisons = []
    for group in _groups(runs, conditions):
        others = np.array([own is not None and own != group.conditions for own in conditions], bool)
        own_runs = runs.assign(status=runs["status"].mask(others, "elsewhere"))[(runs["rung"] == group.rung).array]
        comparisons.append(_comparison(records, own_runs, cases, unranked, group))
    return LeaderboardInput(
        suite=records.name,
        comparisons=tuple(comparisons),
        ladder=tuple(sorted(set(runs["rung"]) - {NO_RUNG})),
        failed=Counter(runs.loc[runs["status"] == "failed", "rung"]),
        engine=selection.engine,
        declared=_declared_engines(records, runs, selection.engine),
        marked=marked,
        search=read_search(records),
        reconciliation=records.reconciliation,
    )


def _judge_pace(records: SuiteRecords, ok: pd.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """Cells whose steps cost something else than calibrated, each with the reason: in no number, and marked.

    ok: finished runs, whatever their rung: a step costs the same on all.
    """
    judged = judge_cells(
        (
            (cell, records.ended.settings[text].calibration, parse_paces(paces))
            for cell, text, paces in ok[["cell", "settings", "paces"]].itertuples(index=False)
        ),
        records.store.calibrations(),
    )
    unranked: dict[str, str] = {}
    marked: dict[str, str] = {}
    for (cell, stage), own in judged.items():
        text = f"a step of stage {stage} costs {own.deviation:+.0%} against its calibration"
        if own.verdict == "not ranked":
            unranked.setdefault(cell, text)
        elif own.verdict == "marked":
            marked.setdefault(cell, text)
    return unranked, {cell: text for cell, text in marked.items() if cell not in unranked}


class _Group(NamedTuple):
    """The fields of a `Comparison` that are known before its runs are read."""

    number: int
    rung: int
    first: bool
    title: str
    conditions: Conditions | None


def _groups(runs: pd.DataFrame, conditions: Sequence[Conditions | None]) -> list[_Group]:
    """A group for the conditions of each rung that has runs; where none has, one for the shortest rung."""
    keys = [(rung, own) for rung, own in zip(runs["rung"], conditions, strict=True) if own is not None]
    ran = zip(runs["rung"], conditions, runs["status"] == "ok", strict=True)
    counts = Counter((rung, own) for rung, own, ok in ran if ok)
    ordered = sorted(set(keys), key=lambda key: (key[0], -counts[key], key[1]))
    if not ordered:
        return [_Group(1, int(runs["rung"].min()), True, "", None)]
    texts = titles([own for _, own in ordered])
    rungs = [rung for rung, _ in ordered]
    return [
        _Group(place + 1, rung, rung not in rungs[:place], texts[place], own)
        for place, (rung, own) in enumerate(ordered)
    ]


def _declared_engines(records: SuiteRecords, runs: pd.DataFrame, usual: Engine) -> dict[str, str]:
    ran = runs[["cell", "settings"]].dropna().drop_duplicates()
    engines = {
        str(cell): [records.ended.settings[text].engine for text in own["settings"]]
        for cell, own in ran.groupby("cell", sort=False)
    }
    texts = {cell: describe_differences(own, usual) for cell, own in engines.items()}
    return {cell: text for cell, text in texts.items() if text}


def _conditions(records: SuiteRecords, runs: pd.DataFrame) -> list[Conditions | None]:
    """Under which each run ran; None without a result, and where it failed before it had an environment."""
    known: dict[tuple[str, str], Conditions] = {}
    for run, *key in runs.loc[runs["environment"].fillna("") != "", ["run", *CONDITIONS]].itertuples(index=False):
        environment, text = key
        if (environment, text) not in known:
            named_by = records.run(run).folder.path / "result.json"
            shared = records.environment(environment, named_by)
            known[environment, text] = Conditions.of(records.ended.settings[text], shared)
    return [known.get(key) for key in runs[CONDITIONS].itertuples(index=False, name=None)]


def _refuse_mixed_versions(records: SuiteRecords, runs: pd.DataFrame) -> None:
    for entry, own in runs.dropna(subset="method_version").groupby("entry", sort=False):
        by_version = own["run"].str[:10].groupby(own["method_version"].astype(int)).agg(", ".join)
        if len(by_version) > 1:
            listed = "; ".join(f"version {version}: {ids}" for version, ids in by_version.items())
            raise UsageError(
                f"{records.store.selection_path}: {entry} was run in {len(by_version)} versions ({listed}). One table "
                "never mixes versions of a method. Run the suite again: it selects the current version and runs what "
                "is missing."
            )


def _comparison(
    records: SuiteRecords,
    runs: pd.DataFrame,
    cases: Cases,
    costly: Mapping[str, str],
    group: _Group,
) -> Comparison:
    """A finished run whose records do not fit is "unfit", with the reason: it is in no number.

    costly: why the runs of a cell are in no number, by cell.
    """
    tested = runs[runs["status"] == "ok"].drop_duplicates("run")
    blocks = cases.blocks(tested["run"])
    faults = unfit_reasons(blocks, [records.ended.validated[text] for text in tested["validated"]])
    reasons = pd.Series(
        [fault or costly.get(cell) for fault, cell in zip(faults, tested["cell"], strict=True)],
        tested["run"].array,
        dtype=object,
    )
    unfit = runs["run"].map(reasons.dropna())
    unfit = unfit[unfit.notna() & (runs["status"] == "ok")]
    runs = runs.assign(
        status=runs["status"].mask(runs.index.isin(unfit.index), "unfit"),
        failure_reason=runs["failure_reason"].astype(object).where(~runs.index.isin(unfit.index), unfit),
    )
    planned = runs[runs["status"] == "ok"]
    fit = reasons[reasons.isna()]
    block = fit_block(blocks, reasons.isna().to_numpy()) if len(fit) else no_cases()
    placed = planned.assign(place=planned["run"].map(pd.Series(np.arange(len(fit)), fit.index)))
    validations = validation_frame(records.ended, list(fit.index))
    ids = planned[["run", "cell", "entry", "labelled", "subset", "seed"]]
    environments = _environments(records, planned)
    shown = [environment.shown for environment in environments]
    warnings = dict.fromkeys(line for facts in shown for line in (facts.get("data_warnings") or "").splitlines())
    return Comparison(
        **group._asdict(),
        devices=tuple(sorted({environment.device_model for environment in environments})),
        commits=tuple(sorted({commit for facts in shown if (commit := facts.get("commit"))})),
        runs=runs[list(RUN_COLUMNS)].astype({"labelled": "Int64"}),
        tested=block.tested.to_pandas(),
        scores=read_scores(block, placed),
        structures=count_structures(block, placed),
        validations=validations.astype({"unlabelled_dice": "float64"}).merge(ids, on="run", how="left"),
        records=records,
        data_warnings=tuple(warnings),
        voxel_sizes=tuple(dict.fromkeys(source for facts in shown if (source := facts.get("voxel_size")))),
    )


def _environments(records: SuiteRecords, runs: pd.DataFrame) -> list[Environment]:
    distinct = runs[["run", "environment", "shown"]].drop_duplicates(["environment", "shown"])
    return [
        records.environment(environment, records.root / "runs" / run, json.loads(shown))
        for run, environment, shown in distinct.itertuples(index=False)
        if environment
    ]


def _cases(records: SuiteRecords, ok: pd.DataFrame) -> pd.DataFrame:
    """Words are categories: there are few different ones in up to millions of rows."""
    ids = ok[["run", "cell", "entry", "labelled", "subset", "seed"]]
    if ids.empty:
        return pd.DataFrame(columns=["run", *CASE_COLUMNS, *ids.columns.drop("run")])
    tables = [records.run(run).cases_table for run in ids["run"]]
    cases: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas(strings_to_categorical=True)
    cases = cases.astype({name: "float64" for name in CASE_COLUMNS if name.endswith(("_voxel", "_mm"))})
    partly_known = [name for name in CASE_COLUMNS if name.endswith("_mm") and cases[name].isna().any()]
    cases[partly_known] = np.nan  # a mean over the volumes of known voxel size would be one of other patients
    words = ids.astype(dict.fromkeys(("run", "cell", "entry"), "category"))
    repeated = words.iloc[np.repeat(np.arange(len(tables)), [table.num_rows for table in tables])].reset_index(
        drop=True
    )
    return pd.concat([repeated[["run"]], cases, repeated.drop(columns="run")], axis=1)
