"""Records of a suite as frames: every selected unit is a row, whether it ran, failed or is still to run.

Units that ran under different conditions (device model, torch, precision, data, budget, protocol) never share a table.
They are grouped into separate comparisons instead of refused: a suite that was finished on a second machine still
gives every table that its records support, and each is titled by what sets it apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.api.errors import RecordError, UsageError
from harness.leaderboard.conditions import Conditions, describe, differing
from harness.leaderboard.patients import MEAN_CLASS, METRICS, Key, patient_means
from harness.leaderboard.rows import LOOK_COLUMNS, Loaded, look_rows, unit_row
from harness.leaderboard.scores import Scores, scores
from harness.leaderboard.searches import COLUMNS as SEARCH_COLUMNS
from harness.leaderboard.searches import searches
from harness.records.accounts import Reconciliation
from harness.records.run_folder import UnitFolder
from harness.records.schema import Environment
from harness.records.suite_folder import RunStore
from harness.stats.bootstrap import Floats

CASE_COLUMNS = (
    "selection", "case", "patient", "phase", "class_name", "dice", "jaccard", "hd95_voxel", "asd_voxel", "assd_voxel",
    "hd95_mm", "asd_mm", "assd_mm", "missed", "spurious", "voxels_true", "voxels_predicted",
)  # fmt: skip
"""Columns of cases.parquet: one row per selection, case and class."""

_READERS = 4
"""Files read at once: most of the time goes into waiting for the disk, or the network."""


@dataclass(frozen=True)
class Comparison:
    """Units that may stand in one table.

    number:     from 1; the comparison with the most finished units comes first.
    title:      what sets it apart from the suite's other comparisons; empty if it is the only one.
    conditions: what all its units share; None while nothing has run.
    commits:    commits of the code that ran (shown, not compared).
    units:      one row per selected unit of the suite, columns as in `rows.unit_row`; status is ok, failed, missing
                (not run yet) or elsewhere (ran under another comparison's conditions).
    cases:      rows of cases.parquet of the ok units, with unit, arm, method, labelled, subset and seed.
    looks:      validation looks of the ok units, one row per look.
    """

    number: int
    title: str
    conditions: Conditions | None
    commits: tuple[str, ...]
    units: pd.DataFrame
    cases: pd.DataFrame
    looks: pd.DataFrame

    @cached_property
    def scores(self) -> dict[Key, Scores]:
        """(metric, selection, arm, class) -> scores by patient and unit, of the mean over classes and of each class."""
        overall = scores(self.cases, METRICS)
        by_class = scores(self.cases, METRICS, by=["class_name"])
        return {**{(*key, MEAN_CLASS): one for key, one in overall.items()}, **by_class}

    @cached_property
    def patients(self) -> dict[Key, Floats]:
        """(metric, selection, arm, class) -> means by patient, as `scores`."""
        overall = patient_means(self.cases)
        by_class = patient_means(self.cases, by=["class_name"])
        return {**{(*key, MEAN_CLASS): one for key, one in overall.items()}, **by_class}


@dataclass(frozen=True)
class Records:
    """All that the tables of one suite are computed from; at least one comparison.

    search:         the trials, columns as in `searches.searches`; without rows where nothing was searched.
    reconciliation: what Slurm charged; None where it was never asked.
    """

    suite: str
    comparisons: tuple[Comparison, ...]
    search: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SEARCH_COLUMNS)))
    reconciliation: Reconciliation | None = None


def load(store: RunStore) -> Records:
    """Read the units of the current selection.

    Raises:
        UsageError: one method was run in two versions.
        RecordError: a record is missing, damaged or newer than this version.
    """
    units = _read_units(store)
    _refuse_mixed_versions(store, units)
    counts = Counter(one.conditions for one in units if one.conditions is not None and one.ok)
    groups = sorted({one.conditions for one in units if one.conditions is not None}, key=lambda c: (-counts[c], c))
    names = differing(groups)
    comparisons = [
        _comparison(units, number, group, describe(group, names) if group is not None else "")
        for number, group in enumerate(groups or [None], start=1)
    ]
    return Records(store.root.name, tuple(comparisons), searches(store), store.reconciliation())


def _read_units(store: RunStore) -> list[Loaded]:
    """One per slot: two rows that a search led to the same configuration share a unit."""
    selection = store.selection()
    environments: dict[str, Environment] = {}
    return [
        _read_unit(Loaded(store.by_id(entry.unit), entry, selection.engine), environments)
        for entry in selection.entries
    ]


def _read_unit(found: Loaded, environments: dict[str, Environment]) -> Loaded:
    folder = found.folder
    result = folder.result()
    if result is None:
        return found
    fingerprint = result.environment
    if fingerprint and fingerprint not in environments:
        environments[fingerprint] = _read_environment(folder)
    environment = environments.get(fingerprint)
    conditions = None if environment is None else Conditions.of(folder.unit, environment)
    shown = result.shown or (environment.shown if environment is not None else {})
    return replace(found, unit=folder.unit, result=result, conditions=conditions, commit=shown.get("commit"))


def _read_environment(folder: UnitFolder) -> Environment:
    try:
        environment = folder.environment()
    except FileNotFoundError as error:
        raise RecordError(f"{error.filename} is missing; {folder.path / 'result.json'} names it") from None
    if environment is None:
        raise RecordError(f"{folder.path / 'result.json'} was removed while it was read; run the command again")
    return environment


def _refuse_mixed_versions(store: RunStore, units: Sequence[Loaded]) -> None:
    versions: dict[str, dict[int, list[str]]] = {}
    for one in units:
        if one.unit is not None:
            ids = versions.setdefault(one.slot.method, {}).setdefault(one.unit.method_version, [])
            ids.append(one.folder.id[:10])
    for method, by_version in versions.items():
        if len(by_version) > 1:
            found = "; ".join(f"version {version}: {', '.join(ids)}" for version, ids in sorted(by_version.items()))
            raise UsageError(
                f"{store.selection_path}: {method} was run in {len(by_version)} versions ({found}). One table never "
                "mixes versions of a method. Run the suite again: it selects the current version and runs what is "
                "missing."
            )


def _status(one: Loaded, group: Conditions | None) -> str:
    if one.result is None:
        return "missing"
    if one.conditions is not None and one.conditions != group:
        return "elsewhere"
    return one.result.status


def _comparison(units: Sequence[Loaded], number: int, group: Conditions | None, title: str) -> Comparison:
    statuses = [_status(one, group) for one in units]
    frame = pd.DataFrame([unit_row(one, status) for one, status in zip(units, statuses, strict=True)])
    finished = [one for one, status in zip(units, statuses, strict=True) if status == "ok"]
    ids = frame[["unit", "arm", "method", "labelled", "subset", "seed"]]
    once = {one.folder.id: one for one in finished}.values()
    looks = pd.DataFrame([row for one in once for row in look_rows(one)], columns=list(LOOK_COLUMNS))
    return Comparison(
        number=number,
        title=title,
        conditions=group,
        commits=tuple(sorted({one.commit for one in finished if one.commit})),
        units=frame.astype({"labelled": "Int64"}),
        cases=_cases([one.folder for one in finished], ids[frame["status"] == "ok"]),
        looks=looks.astype({"unlabelled_dice": "float64"}).merge(ids, on="unit", how="left"),
    )


def _cases(folders: Sequence[UnitFolder], ids: pd.DataFrame) -> pd.DataFrame:
    """Per-case records of `folders` with their `ids`, one row per folder; the columns alone where there are none.

    Words are categories: there are few different ones in up to millions of rows.
    """
    if not folders:
        return pd.DataFrame(columns=["unit", *CASE_COLUMNS, *ids.columns.drop("unit")])
    with ThreadPoolExecutor(_READERS) as readers:
        tables = list(readers.map(_read_cases, folders))
    cases: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas(strings_to_categorical=True)
    cases = cases.astype({name: "float64" for name in CASE_COLUMNS if name.endswith(("_voxel", "_mm"))})
    words = ids.astype(dict.fromkeys(("unit", "arm", "method"), "category"))
    places = np.repeat(np.arange(len(folders)), [table.num_rows for table in tables])
    repeated = words.iloc[places].reset_index(drop=True)
    return pd.concat([repeated[["unit"]], cases, repeated.drop(columns="unit")], axis=1)


def _read_cases(folder: UnitFolder) -> pa.Table:
    path = folder.path / "cases.parquet"
    if not path.exists():
        raise RecordError(f"{path} is missing although the unit is done; delete its result.json to run it again")
    cases = folder.cases_table()
    there = set(cases.column_names)
    absent = [name for name in CASE_COLUMNS if name not in there]
    if absent:
        raise RecordError(f"{path}: no column {', '.join(absent)}; not a record of this version")
    return cases.select(CASE_COLUMNS)
