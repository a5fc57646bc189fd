"""Rules about scores: on what they are computed, what an empty mask costs, which records tables are computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.audit.finding import Verdict, held, not_held
from harness.audit.records import AuditedSuite
from harness.audit.rule import counted, rule
from harness.leaderboard.fitness import unfit_reasons
from harness.records.ended import Validated

if TYPE_CHECKING:
    import pandas as pd

KEY = ["case", "class_name"]
VOXELS = ["dice", "nsd_voxel", "hd95_voxel", "asd_voxel", "assd_voxel"]
MILLIMETRES = ["nsd_mm", "hd95_mm", "asd_mm", "assd_mm"]
ROUNDING = 2**-10
"""Between equal distances in cases.parquet, which keeps more digits of some."""


@rule(25, needs="cases")
def whole_volumes(suite: AuditedSuite) -> Verdict:
    cases = suite.cases
    usual = cases.groupby(KEY)["voxels_true"].transform("median")
    if other := suite.named(cases["run"][cases["voxels_true"] != usual]):
        return not_held(other, "volumes in cases.parquet differ from those of the other runs")
    known = cases[MILLIMETRES].notna()
    usually = known.all(axis=1).groupby(cases["case"], observed=True).transform("mean") > 0.5
    if partly := suite.named(cases["run"][known.ne(usually, axis=0).any(axis=1)]):
        return not_held(partly, "millimetres in some rows of cases.parquet alone")
    unknown = cases["case"][~usually].nunique()
    phases = ", ".join(sorted(cases["phase"].dropna().unique())) or "not known"
    distances = f"voxels (spacing unknown in {unknown})" if unknown else f"voxels and millimetres{_source(suite)}"
    return held(
        f"the same {cases['case'].nunique()} volumes x {cases['class_name'].nunique()} classes in cases.parquet of "
        f"{counted(cases['run'].nunique(), 'run')}, in {distances}; phases {phases}"
    )


def _source(suite: AuditedSuite) -> str:
    shown = (run.environment.shown.get("voxel_size") for run in suite.runs if run.environment is not None)
    sources = " or ".join(dict.fromkeys(source for source in shown if source))
    return f" (voxel size from {sources})" if sources else ""


@rule(26, needs="cases")
def empty_masks(suite: AuditedSuite) -> Verdict:
    cases = suite.cases
    if wrong := suite.named(cases["run"][~_pays(cases)]):
        return not_held(wrong, "rows of cases.parquet with an empty mask score otherwise")
    missed, spurious = int(cases["missed"].sum()), int(cases["spurious"].sum())
    return held(f"{missed:,} missed and {spurious:,} spurious of {len(cases):,} rows in cases.parquet, all with Dice 0")


def _pays(cases: pd.DataFrame) -> pd.Series[bool]:
    """By row, whether its scores are what its two masks cost, in voxels and, where these are known, in millimetres."""
    missed = (cases["voxels_true"] > 0) & (cases["voxels_predicted"] == 0)
    spurious = (cases["voxels_true"] == 0) & (cases["voxels_predicted"] > 0)
    free = (cases["voxels_true"] == 0) & (cases["voxels_predicted"] == 0)
    marked = (cases["missed"] == missed) & (cases["spurious"] == spurious)

    def pays_in(names: list[str]) -> pd.Series[bool]:
        overlaps, distances = cases[names[:-3]], cases[names[-3:]]
        low, high = distances.min(axis=1), distances.max(axis=1)
        costs = (overlaps == 0).all(axis=1) & (low > 0) & (high <= low * (1 + ROUNDING))
        costs_nothing = (overlaps == 1).all(axis=1) & (low == 0) & (high == 0)
        return (costs | ~(missed | spurious)) & (costs_nothing | ~free)

    unknown = cases[MILLIMETRES].isna().any(axis=1)
    return marked & pays_in(VOXELS) & (pays_in(MILLIMETRES) | unknown)


@rule(27)
def per_case_records(suite: AuditedSuite) -> Verdict:
    if absent := [run for run in suite.finished if run.cases is None]:
        return not_held(absent, "cases.parquet is missing")
    reasons = unfit_reasons(suite.blocks, [Validated.by(run.result.validations) for run in suite.finished])
    unfit = {run: reason for run, reason in zip(suite.finished, reasons, strict=True) if reason is not None}
    if unfit:
        lines = (f"{run.name}: {reason}" for run, reason in unfit.items())
        return not_held(list(unfit), f"{counted(len(unfit), 'run')} with records that fit no table", *lines)
    if trials := [
        run
        for run in suite.others
        if run.result is not None and not all(validation.possible for validation in run.result.validations)
    ]:
        names = ", ".join(f"{run.asked.label} (runs/{run.id[:10]})" for run in trials)
        ids = tuple(run.id for run in trials)
        return Verdict("not held", (f"a Dice outside [0, 1] in validations of result.json: {names}",), ids)
    rows = len(suite.cases) // max(1, len(suite.finished))
    return held(
        f"{rows:,} rows in cases.parquet of each of {counted(len(suite.finished), 'run')}, none missing or twice"
    )
