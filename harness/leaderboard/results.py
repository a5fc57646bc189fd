"""The leaderboard as a frame: one row per comparison, labelled count, checkpoint rule and method."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import Any

import pandas as pd

from harness.leaderboard.allocation import allocation_columns
from harness.leaderboard.conditions import FIELDS
from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.scores import MEAN_CLASS, METRICS, UNKNOWN, Summary

Row = dict[str, Any]


def build_results(inputs: LeaderboardInput) -> pd.DataFrame:
    """Every table of the suite in one frame, best first, references after the ranked methods.

    Metrics have a mean, `_low` and `_high` (95 % bootstrap-t over patients, conditional on the seeds and subsets that
    ran). Dice and Jaccard are fractions. `labelled` is the table's count, `trained_on` the method's own: "all" for a
    reference.

    place:                 order of display, by mean Dice; methods with a failed run come after all without, methods
                           without any finished or failed run have none, nor have references.
    rank, rank_worst:      best and worst rank that the data allow (`ranks.with_ranks` fills them; equal where the
                           rank is not shared).
    <metric>_std:          standard deviation over runs of a run's mean over patients; from two runs on.
    <metric>_subsets_low, _high: 95 % t-interval of the mean over labelled subsets, each the mean over its seeds and
                           patients, clipped to the metric's range; from three subsets on.
    dice_imputed, _low, _high: Dice with 0 for every case of a failed run.
    allocation_*:          what Slurm charged, see `allocation.allocation_columns`.
    """
    rows = [
        row
        for comparison in inputs.comparisons
        for labelled in comparison.labelled_counts
        for checkpoint in comparison.checkpoints
        for row in _table(inputs, comparison, labelled, checkpoint)
    ]
    integers = ("labelled", "place", "rank", "rank_worst", "method_version")
    return pd.DataFrame(rows).astype(dict.fromkeys(integers, "Int64"))


def _table(inputs: LeaderboardInput, comparison: Comparison, labelled: int | None, checkpoint: str) -> list[Row]:
    """Rows of one table, in the order in which they are shown."""
    rows = []
    for entry in comparison.entries(labelled):
        progress, metrics = _progress(entry.runs), _metrics(comparison, checkpoint, entry.cell)
        row: Row = {
            "suite": inputs.suite,
            **entry.columns,
            "checkpoint": checkpoint,
            "trained_on": entry.cell.rpartition("@")[2],
            **dict.fromkeys(("place", "rank", "rank_worst")),  # known once all rows of the table are
            **progress,
            **metrics,
            **_imputed(progress | metrics),
            **_structures(comparison, checkpoint, entry.cell),
            **_costs(entry.runs),
            **_search(inputs.search, entry.method),
            **allocation_columns(inputs.reconciliation, entry.method, entry.runs),
            "engine_declared": inputs.declared.get(entry.cell, ""),
            **(dict.fromkeys(FIELDS) if comparison.conditions is None else asdict(comparison.conditions)),
        }
        rows.append(row)
    return placed(rows)


def placed(rows: list[Row]) -> list[Row]:
    """Fill `place` by mean Dice (ties share the better place) and sort: ranked, not yet run, references."""
    keys = {id(row): _place_key(row) for row in rows if row["block"] == "ranked" and row["n_ok"] + row["n_failed"] > 0}
    for row in rows:
        if id(row) in keys:
            row["place"] = 1 + sum(other < keys[id(row)] for other in keys.values())
    return sorted(
        rows, key=lambda row: (row["block"] == "reference", row["place"] is None, row["place"] or 0, row["entry"])
    )


def _place_key(row: Row) -> tuple[bool, bool, float]:
    """Failures after all methods without; among them, those with no number at all last."""
    none_ok = row["n_ok"] == 0
    return row["n_failed"] > 0, none_ok, 0.0 if none_ok else -row["dice"]


def _progress(runs: pd.DataFrame) -> Row:
    """How many of the planned runs there are, and which seeds and subsets."""
    status = Counter(runs["status"])
    ok = runs[runs["status"] == "ok"]
    versions = runs["method_version"].dropna()
    return {
        "method_version": None if versions.empty else int(versions.iloc[0]),
        "n_runs": len(runs),
        "n_ok": status["ok"],
        "n_failed": status["failed"],
        "n_missing": status["missing"],
        "n_elsewhere": status["elsewhere"],
        "seeds": _joined(ok["seed"]),
        "subsets": _joined(ok["subset"]),
    }


def _joined(values: pd.Series[Any]) -> str:
    return " ".join(str(value) for value in sorted(set(values)))


def _metrics(comparison: Comparison, checkpoint: str, cell: str) -> Row:
    """Summary of every metric, and the number of patients behind the Dice."""
    summaries = {
        metric: comparison.summaries.get((metric, checkpoint, cell, MEAN_CLASS), UNKNOWN) for metric in METRICS
    }
    row: Row = {"n_patients": summaries["dice"].n_patients}
    for metric, summary in summaries.items():
        row[metric] = summary.mean
        row.update({f"{metric}_{name}": getattr(summary, name) for name in Summary._fields[1:-1]})
    return row


def _imputed(row: Row) -> Row:
    """The Dice if every case of a failed run had Dice 0, which scales every patient's mean alike."""
    ended = row["n_ok"] + row["n_failed"]
    share = row["n_ok"] / ended if ended else math.nan
    return {f"dice_imputed{end}": share * row[f"dice{end}"] if share else 0.0 for end in ("", "_low", "_high")}


def _structures(comparison: Comparison, checkpoint: str, cell: str) -> Row:
    """Structures (case x class, over all runs) that were tested, missed altogether, or predicted where none are."""
    counts = comparison.structures
    own = counts[(counts["checkpoint"] == checkpoint) & (counts["cell"] == cell)]
    return {name: int(own[name].sum()) for name in ("n_structures", "n_missed", "n_spurious")}


def _costs(runs: pd.DataFrame) -> Row:
    """Costs: useful figures over the ok runs, lost seconds over all runs that ended under these conditions."""
    ended = runs[runs["status"].isin(["ok", "failed"])]
    ok = ended[ended["status"] == "ok"]
    row: Row = {}
    for source, name in (("useful_device_seconds", "device_seconds"), ("steps", "steps")):
        values = ok[source].astype("float64")
        row.update({f"{name}_mean": values.mean(), f"{name}_min": values.min(), f"{name}_max": values.max()})
    failed = ended[ended["status"] == "failed"]
    row["lost_device_seconds_total"] = float(ended["lost_device_seconds"].astype("float64").sum())
    row["failed_device_seconds_total"] = float(failed["useful_device_seconds"].astype("float64").sum())
    for name in ("images_seen", "labelled_images_seen"):
        row[f"{name}_mean"] = ok[name].astype("float64").mean()
    for name in ("parameters_training", "parameters_predictor", "validations", "peak_memory_bytes"):
        row[name] = ok[name].astype("float64").max()
    return row


def _search(trials: pd.DataFrame, method: str) -> Row:
    """Cost of the search: trials that ran, seconds spent, seconds lost to interruptions."""
    own = trials[(trials["entry"] == method) & (trials["status"] != "missing")]
    useful, lost = own[["useful_device_seconds", "lost_device_seconds"]].astype("float64").sum()
    totals = {"search_device_seconds_total": useful, "search_lost_device_seconds_total": lost}
    return {"search_trials": len(own), **totals}
