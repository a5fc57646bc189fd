"""Rules about scores: on what they are computed, what an empty mask costs, what tables are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.audit.finding import Verdict
from harness.audit.records import SuiteRecords, UnitRecords
from harness.audit.rule import rule
from harness.audit.words import broken, counted, held, names, nothing_finished

if TYPE_CHECKING:
    import pandas as pd

KEY = ["case", "class_name"]
DISTANCES = ["hd95_voxel", "asd_voxel", "assd_voxel"]
MILLIMETRES = ["hd95_mm", "asd_mm", "assd_mm"]


@rule(
    25,
    "Metrics are computed on whole volumes at native resolution, for every class and phase",
    "Two-dimensional scores, ignored spacing and volumes cropped by their own label are not comparable.",
    practices=(21, 22, 31),
)
def whole_volumes(suite: SuiteRecords) -> Verdict:
    """In cases.parquet every volume and class has the same number of true voxels in all units.

    Millimetres stand everywhere or, where the spacing is unknown, nowhere. A crop by the label would not show;
    the engine has none.
    """
    scored = _scored(suite)
    if not scored:
        return nothing_finished(suite)
    first = _truth(scored[0][1])
    other = [one for one, cases in scored if not _truth(cases).equals(first)]
    if other:
        return broken(other, f"volumes differ from those of {scored[0][0].name}/cases.parquet: {names(other)}")
    spaced = {one.folder.id: bool(cases[MILLIMETRES].notna().all(axis=None)) for one, cases in scored}
    partly = [
        one for one, cases in scored if cases[MILLIMETRES].notna().any(axis=None) != spaced[scored[0][0].folder.id]
    ]
    if partly:
        return broken(partly, f"millimetres in some rows of cases.parquet alone: {names(partly)}")
    cases = scored[0][1]
    phases = ", ".join(sorted(cases["phase"].dropna().unique())) or "not known"
    unit = "voxels and millimetres" if spaced[scored[0][0].folder.id] else "voxels (spacing unknown)"
    return held(
        f"the same {cases['case'].nunique()} volumes x {cases['class_name'].nunique()} classes in cases.parquet of "
        f"{counted(len(scored), 'unit')}, in {unit}; phases {phases}"
    )


def _truth(cases: pd.DataFrame) -> pd.Series[int]:
    last = cases[cases["selection"] == "last"]
    truth: pd.Series[int] = last.set_index(KEY)["voxels_true"].sort_index()
    return truth


@rule(
    26,
    "A missed structure costs: Dice 0, and the diagonal of the volume as distance",
    "Codes in use score a missed structure with HD95 = 0, which rewards predicting nothing.",
    practices=(21,),
)
def empty_masks(suite: SuiteRecords) -> Verdict:
    """In cases.parquet one empty mask has Dice 0 and three equal distances above 0.

    Two empty masks have Dice 1 and distances 0; `missed` marks what was not found at all.
    """
    scored = _scored(suite)
    if not scored:
        return nothing_finished(suite)
    wrong = [one for one, cases in scored if not _pays(cases)]
    if wrong:
        return broken(wrong, f"rows of cases.parquet with an empty mask score otherwise: {names(wrong)}")
    missed = sum(int(cases["missed"].sum()) for _, cases in scored)
    spurious = sum(int(cases["spurious"].sum()) for _, cases in scored)
    rows = sum(len(cases) for _, cases in scored)
    return held(f"{missed:,} missed and {spurious:,} spurious of {rows:,} rows in cases.parquet, all with Dice 0")


def _pays(cases: pd.DataFrame) -> bool:
    no_truth, no_answer = cases["voxels_true"] == 0, cases["voxels_predicted"] == 0
    one, both = cases[no_truth != no_answer], cases[no_truth & no_answer]
    marked = bool(
        (cases["missed"] == (~no_truth & no_answer)).all() and (cases["spurious"] == (no_truth & ~no_answer)).all()
    )
    equal = one[DISTANCES].nunique(axis=1) == 1
    pays = bool(((one["dice"] == 0) & (one[DISTANCES] > 0).all(axis=1) & equal).all())
    free = bool(((both["dice"] == 1) & (both[DISTANCES] == 0).all(axis=1)).all())
    return marked and pays and free


@rule(
    27,
    "Tables are computed from stored per-case records",
    "Published tables hold cells that repeat in other rows, and means that are not the mean of their parts.",
    practices=(12,),
)
def per_case_records(suite: SuiteRecords) -> Verdict:
    """cases.parquet of every unit holds each volume and class once for each checkpoint rule, without a gap.

    The rows are the same in every unit. `harness leaderboard` computes all tables from these files.
    """
    if not suite.finished:
        return nothing_finished(suite)
    absent = [one.records for one in suite.finished if one.records.cases is None]
    if absent:
        return broken(absent, f"cases.parquet is missing: {names(absent)}")
    scored = _scored(suite)
    rows = [_rows(cases) for _, cases in scored]
    gaps = [one for (one, cases), found in zip(scored, rows, strict=True) if not _complete(cases) or found != rows[0]]
    if gaps:
        return broken(gaps, f"rows of cases.parquet are missing, repeated or without Dice: {names(gaps)}")
    return held(
        f"{len(scored[0][1]):,} rows in cases.parquet of each of {counted(len(scored), 'unit')}, none missing or twice"
    )


def _complete(cases: pd.DataFrame) -> bool:
    columns = ["selection", *KEY]
    whole = cases["selection"].nunique() * cases["case"].nunique() * cases["class_name"].nunique()
    return not cases.duplicated(columns).any() and len(cases) == whole and bool(cases["dice"].notna().all())


def _rows(cases: pd.DataFrame) -> set[tuple[str, ...]]:
    return set(cases[["selection", *KEY]].itertuples(index=False, name=None))


def _scored(suite: SuiteRecords) -> list[tuple[UnitRecords, pd.DataFrame]]:
    return [(one.records, one.records.cases) for one in suite.finished if one.records.cases is not None]
