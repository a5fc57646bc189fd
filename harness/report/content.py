"""All data of the page as one JSON, taken from the leaderboard's frames and the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.leaderboard.figure import PALETTE
from harness.leaderboard.inputs import Comparison
from harness.leaderboard.leaderboard import Leaderboard
from harness.report.budgets import allocations, budgets
from harness.report.columns import Json, columns
from harness.report.crossing import effects
from harness.report.surface import surfaces

METRICS = ("dice", "jaccard", "hd95_voxel", "asd_voxel", "hd95_mm", "asd_mm")
"""What the page can switch to; the csv files hold all."""

SHAPES = 6
"""Marker shapes that the page can draw."""

COUNTS = ("n_runs", "n_ok", "n_failed", "n_missing", "n_elsewhere", "n_patients", "n_structures", "n_missed")
COSTS = (
    "device_seconds_mean", "device_seconds_min", "device_seconds_max", "steps_mean", "steps_min", "steps_max",
    "lost_device_seconds_total", "failed_device_seconds_total", "images_seen_mean", "parameters_training",
    "parameters_predictor", "peak_memory_bytes",
)  # fmt: skip
ENDS = ("", "_low", "_high", "_std", "_subsets_low", "_subsets_high")
VALUES = tuple(f"{metric}{end}" for metric in METRICS for end in ENDS)
ROWS = (
    "table", "labelled", "checkpoint", "block", "place", "rank", "rank_worst", "entry", "trained_on", *COUNTS, *VALUES,
    "dice_imputed", *COSTS, "seeds", "subsets", "engine_declared", "budget_amount", "budget_currency",
)  # fmt: skip
CLASSES = (
    "table", "labelled", "checkpoint", "block", "entry", "class_name", "metric", "mean", "low", "high", "std",
    "subsets_low", "subsets_high", "rank", "rank_worst", "n_structures", "n_missed",
)  # fmt: skip
PAIRS = (
    "table", "labelled", "checkpoint", "metric", "class_name", "family", "entry_a", "entry_b", "difference",
    "difference_low", "difference_high", "simultaneous_low", "simultaneous_high", "p_holm",
    "probability_of_improvement", "significant", "verdict", "n_patients",
)  # fmt: skip
CURVES = (
    "table", "labelled", "entry", "validation", "device_seconds_mean", "steps_mean", "validation_dice_mean",
    "validation_dice_min", "validation_dice_max", "unlabelled_dice_mean", "n_runs",
)  # fmt: skip
PROFILES = ("table", "labelled", "checkpoint", "entry", "class_name", "tau", "share", "low", "high")
FAILED = ("entry", "labelled", "subset", "seed", "failure_kind", "failure_reason")


def content(leaderboard: Leaderboard) -> Json:
    """Everything but the worst cases."""
    inputs, search = leaderboard.inputs, leaderboard.inputs.search
    return {
        "suite": inputs.suite,
        "styles": styles(leaderboard.results),
        "groups": groups(inputs.comparisons),
        "rows": columns(leaderboard.results, ROWS),
        "classes": columns(_shown(leaderboard.per_class), CLASSES),
        "pairs": columns(pd.concat([_shown(leaderboard.paired), leaderboard.paired_per_class]), PAIRS),
        "curves": columns(leaderboard.curves, CURVES),
        "profiles": columns(thinned(leaderboard.profiles), PROFILES),
        "patients": [table for comparison in inputs.comparisons for table in patients(comparison)],
        "failed": [failed(comparison) for comparison in inputs.comparisons],
        "budgets": [
            budgets(comparison, search if comparison.number == 1 else search.iloc[:0])
            for comparison in inputs.comparisons
        ],
        "allocations": allocations(inputs.reconciliation),
        "search": [{**surface, "effects": effects(surface)} for surface in surfaces(search)],
    }


def styles(rows: pd.DataFrame) -> Json:
    """Method -> index of its colour and of its marker; the colours are those of curves.png. References have none."""
    ranked = sorted(rows.loc[rows["block"] == "ranked", "entry"].unique())
    marks: Json = {
        name: {"colour": i % len(PALETTE), "shape": (i + i // len(PALETTE)) % SHAPES} for i, name in enumerate(ranked)
    }
    for name in rows.loc[rows["block"] == "reference", "entry"].unique():
        marks.setdefault(str(name), {"colour": None, "shape": None})
    return marks


def groups(comparisons: Sequence[Comparison]) -> list[Json]:
    """The tables of the page in order: one per comparison and labelled count."""
    return [
        {
            "table": comparison.number,
            "labelled": labelled,
            "title": "references alone" if labelled is None else f"{labelled} labelled patients",
            "conditions": comparison.title,
        }
        for comparison in comparisons
        for labelled in comparison.labelled_counts
    ]


def patients(comparison: Comparison) -> Iterator[Json]:
    """Dice of each patient by checkpoint rule and cell.

    Means over its classes, phases, and the seeds and subsets that ran.
    """
    cases = comparison.cases
    for checkpoint, own in cases.groupby("checkpoint", sort=False):
        wide = own.groupby(["cell", "patient"], observed=True)["dice"].mean().unstack("cell").sort_index()
        cells = columns(wide, list(wide.columns))
        yield {"table": comparison.number, "checkpoint": checkpoint, "patients": list(wide.index), "cells": cells}


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the metrics that the page can switch to."""
    return frame[frame["metric"].isin(METRICS)]


def thinned(profiles: pd.DataFrame) -> pd.DataFrame:
    """Shares to a thousandth, without the points inside a level stretch of a curve: the same picture from fewer."""
    shares = ["share", "low", "high"]
    rounded = profiles.astype(dict.fromkeys(shares, "float64")).round(dict.fromkeys(shares, 3))
    lines = rounded.groupby([name for name in PROFILES if name not in ("tau", *shares)], sort=False, dropna=False)
    before, after = (lines[shares].shift(by) for by in (1, -1))
    level = (rounded[shares].eq(before) & rounded[shares].eq(after)).all(axis=1)
    return rounded[~level]


def failed(comparison: Comparison) -> Json:
    """The runs of a table that have no numbers, and why."""
    runs = comparison.runs[comparison.runs["status"] == "failed"]
    return {"table": comparison.number, "runs": columns(runs, FAILED)}
