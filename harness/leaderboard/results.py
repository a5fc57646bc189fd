"""The leaderboard as a frame: one row per comparison, labelled count, checkpoint rule and method, with its rank."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.leaderboard.allocation import allocation_columns
from harness.leaderboard.conditions import FIELDS
from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.rows import ended_runs
from harness.leaderboard.scores import MEAN_CLASS, UNKNOWN, Summary
from harness.records.cases import METRICS
from harness.stats.families import rank_bounds

Row = dict[Any, Any]
_TABLE = ["table", "labelled", "checkpoint"]
_BOUNDS = ["rank", "rank_worst"]


def build_results(inputs: LeaderboardInput) -> pd.DataFrame:
    """Every table of the suite in one frame, best first, references after the ranked methods.

    Metrics have a mean, `_low` and `_high` (95 % bootstrap-t over patients, conditional on the seeds and subsets that
    ran). Dice and Jaccard are fractions. `labelled` is the table's count, `trained_on` the method's own: "all" for a
    reference, `selected_on` the validation patients whose labels chose best_val and, in a search, hyper-parameters.

    place:                 order of display, by mean Dice; methods with a failed or unfit run come after all without.
    unfit:                 runs whose records do not fit those of the others, and why; they are in no number.
    marked:                how much more or less than calibrated the cell's steps cost, where that is 5 to 10 %.
    rank, rank_worst:      best and worst rank that the data allow (`with_ranks` fills them).
    <metric>_std:          standard deviation over runs of a run's mean over patients; from two runs on.
    <metric>_subsets_low, _high: 95 % t-interval of the mean over labelled subsets, each the mean over its seeds and
                           patients, clipped to the metric's range; from three subsets on.
    dice_imputed, _low, _high: Dice with 0 for every case of a failed run.
    allocation_*:          what Slurm charged, see `allocation.allocation_columns`.
    """
    rows = [
        row
        for comparison in inputs.comparisons
        for _, listed in comparison.listing.groupby("labelled", sort=False, dropna=False)
        for checkpoint in comparison.checkpoints
        for row in _table(inputs, comparison, listed, checkpoint)
    ]
    integers = ("labelled", "selected_on", "rung", "place", "rank", "rank_worst", "method_version")
    return pd.DataFrame(rows).astype(dict.fromkeys(integers, "Int64"))


def _table(inputs: LeaderboardInput, comparison: Comparison, listed: pd.DataFrame, checkpoint: str) -> list[Row]:
    """In the order in which they are shown; of these cells of `Comparison.listing`."""
    rows = []
    for names in listed.to_dict("records"):
        cell, method = names.pop("cell"), names["entry"]
        runs = comparison.runs_of(cell)
        progress, metrics = _progress(runs), _metrics(comparison, checkpoint, cell)
        row: Row = {
            "suite": inputs.suite,
            **names,
            "rung": comparison.rung or None,
            "checkpoint": checkpoint,
            "trained_on": cell.rpartition("@")[2],
            "selected_on": runs["validation_patients"].max(),
            **dict.fromkeys(("place", "rank", "rank_worst")),  # known once all rows of the table are
            **progress,
            **metrics,
            **_imputed(progress | metrics),
            **_structures(comparison, checkpoint, cell),
            **_costs(runs),
            **_search(inputs.search, method),
            **allocation_columns(inputs.reconciliation, method, runs),
            "marked": inputs.marked.get(cell, ""),
            "engine_declared": inputs.declared.get(cell, ""),
            **(dict.fromkeys(FIELDS) if comparison.conditions is None else asdict(comparison.conditions)),
        }
        rows.append(row)
    return placed(rows)


def placed(rows: list[Row]) -> list[Row]:
    """Fill `place` by mean Dice (ties share the better place) and sort: ranked, not yet run, references."""
    keys = {id(row): _place_key(row) for row in rows if row["block"] == "ranked" and _ended(row)}
    for row in rows:
        if id(row) in keys:
            row["place"] = 1 + sum(other < keys[id(row)] for other in keys.values())
    return sorted(
        rows, key=lambda row: (row["block"] == "reference", row["place"] is None, row["place"] or 0, row["entry"])
    )


def _ended(row: Row) -> bool:
    return bool(row["n_ok"] or spoilt(row))


def spoilt(row: Row) -> bool:
    return bool(row["n_failed"] or row["n_unfit"])


def _place_key(row: Row) -> tuple[bool, bool, float]:
    """Failures after all methods without; among them, those with no number at all last."""
    none_ok = row["n_ok"] == 0
    return spoilt(row), none_ok, 0.0 if none_ok else -row["dice"]


def _progress(runs: pd.DataFrame) -> Row:
    status = Counter(runs["status"])
    ok = runs[runs["status"] == "ok"]
    versions = runs["method_version"].dropna()
    return {
        "method_version": None if versions.empty else int(versions.iloc[0]),
        "n_runs": len(runs),
        **{f"n_{name}": status[name] for name in ("ok", "failed", "unfit", "missing", "elsewhere")},
        "unfit": "; ".join(
            f"subset {run['subset']} seed {run['seed']}: {run['failure_reason']}"
            for run in runs[runs["status"] == "unfit"].to_dict("records")
        ),
        "seeds": _joined(ok["seed"]),
        "subsets": _joined(ok["subset"]),
    }


def _joined(values: pd.Series[Any]) -> str:
    return " ".join(str(value) for value in sorted(set(values)))


def _metrics(comparison: Comparison, checkpoint: str, cell: str) -> Row:
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
    counts = comparison.structures
    own = counts[(counts["checkpoint"] == checkpoint) & (counts["cell"] == cell)]
    return {name: int(own[name].sum()) for name in ("n_structures", "n_missed", "n_spurious")}


def _costs(runs: pd.DataFrame) -> Row:
    """Useful figures over the ok runs, lost seconds over all runs that ended under these conditions."""
    ended = ended_runs(runs)
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
    own = trials[(trials["entry"] == method) & (trials["status"] != "missing")]
    useful, lost = own[["useful_device_seconds", "lost_device_seconds"]].astype("float64").sum()
    totals = {"search_device_seconds_total": useful, "search_lost_device_seconds_total": lost}
    totals["search_reference_steps_total"] = own["reference_steps"].sum(min_count=1)
    totals["search_reference_steps_trial"] = own["reference_steps_budget"].max()
    return {"search_trials": len(own), **totals}


def with_ranks(rows: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard with `rank` and `rank_worst` of every method that has a place."""
    ranks = _bounds(rows, pairs, [MEAN_CLASS]).drop(columns="class_name")
    return _filled(rows, ranks.assign(block="ranked"))


def with_class_ranks(classes: pd.DataFrame, rows: pd.DataFrame, class_pairs: pd.DataFrame) -> pd.DataFrame:
    """`build_per_class` with the ranks by each class's Dice."""
    ranks = _bounds(rows, class_pairs, list(classes["class_name"].unique()))
    return _filled(classes, ranks.assign(block="ranked", metric="dice"))


def _filled(frame: pd.DataFrame, ranks: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in ranks.columns if name not in _BOUNDS]
    merged = frame.drop(columns=_BOUNDS).merge(ranks, how="left", on=keys)
    return merged[list(frame.columns)]


def _bounds(rows: pd.DataFrame, pairs: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    placed = rows[rows["place"].notna()]
    significant = pairs[pairs["significant"] & (pairs["metric"] == "dice") & (pairs["family"] == "ranked")]
    by_table = dict(iter(significant.groupby([*_TABLE, "class_name"])))
    ranks: list[dict[str, Any]] = []
    for key, own in placed.groupby(_TABLE, sort=False):
        methods = own["entry"].tolist()
        for class_name in class_names:
            best, worst = rank_bounds(_better(own, _won(methods, by_table.get((*key, class_name)))))
            shared = {**dict(zip(_TABLE, key, strict=True)), "class_name": class_name}
            numbers = zip(methods, best.tolist(), worst.tolist(), strict=True)
            ranks.extend({**shared, "entry": entry, "rank": low, "rank_worst": high} for entry, low, high in numbers)
    frame = pd.DataFrame(ranks, columns=[*_TABLE, "class_name", "entry", *_BOUNDS])
    return frame.astype(dict.fromkeys(["labelled", *_BOUNDS], "Int64"))


def _better(own: pd.DataFrame, won: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Failures decide first (none, some, no number at all), significant differences among equals."""
    tier = (own["n_failed"] + own["n_unfit"] > 0).to_numpy(dtype=int) + (own["n_ok"] == 0).to_numpy(dtype=int)
    return np.asarray((tier[:, None] < tier) | (won & (tier[:, None] == tier)))


def _won(methods: Sequence[str], significant: pd.DataFrame | None) -> NDArray[np.bool_]:
    """[i, j]: method i is significantly better than method j."""
    won = np.zeros((len(methods), len(methods)), dtype=bool)
    if significant is not None:
        places = {method: i for i, method in enumerate(methods)}
        for a, b, difference in significant[["entry_a", "entry_b", "difference"]].itertuples(index=False):
            winner, loser = (a, b) if difference > 0 else (b, a)
            won[places[winner], places[loser]] = True
    return won
