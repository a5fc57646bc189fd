"""The tables as text cells, for the terminal and for markdown alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.leaderboard import numbers
from harness.leaderboard.allocation import OUTSIDE
from harness.leaderboard.scores import METRICS

Row = dict[Any, Any]
Cell = tuple[str, str]
"""A value and its interval or range ("" for none)."""

TITLES = {"dice": "Dice %", "jaccard": "Jaccard %", "hd95": "HD95", "asd": "ASD", "assd": "ASSD"}


@dataclass(frozen=True)
class Grid:
    """Headers and rows of cells; the last `references` rows are references, the first `text` columns hold words."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    references: int = 0
    text: int = 1


def title(metric: str) -> str:
    """Header of a metric with its unit of measure: "HD95 voxel"."""
    name, _, unit_of_length = metric.partition("_")
    return f"{TITLES[name]} {unit_of_length}".strip()


def formatter(metric: str) -> Callable[[float], str]:
    """How a value of this metric is printed."""
    return numbers.percent if metric in ("dice", "jaccard") else numbers.distance


def metric_cell(row: Row, metric: str) -> Cell:
    """Mean with the standard deviation over runs, and the interval over patients."""
    text = formatter(metric)
    deviation = row[f"{metric}_std"]
    spread = "" if math.isnan(deviation) else f" ± {text(deviation)}"
    return f"{text(row[metric])}{spread}", numbers.bounds(text(row[f"{metric}_low"]), text(row[f"{metric}_high"]))


def main_grid(table: pd.DataFrame, best_val: pd.DataFrame, metrics: Sequence[str] = METRICS) -> Grid:
    """Rank, method with finished runs, every metric that has values, the best_val Dice, missed structures."""
    rows: list[Row] = table.to_dict("records")
    second = {row["entry"]: metric_cell(row, "dice") for row in best_val.to_dict("records")}
    shown = [metric for metric in metrics if table[metric].notna().any() or metric == "dice"]
    headers = ["#", "method", *(title(metric) for metric in shown)]
    headers += ["Dice % best_val"] if second else []
    body = []
    for row in rows:
        cells = [_rank(row), _method(row), *(metric_cell(row, metric) for metric in shown)]
        cells += [second.get(row["entry"], (numbers.UNDEFINED, ""))] if second else []
        body.append((*cells, _structures(row)))
    return Grid((*headers, "missed"), tuple(body), _references(rows), text=2)


def class_grid(table: pd.DataFrame, classes: pd.DataFrame, metrics: Sequence[str]) -> Grid:
    """Mean of each metric by class, in the order of the leaderboard; intervals are in per_class.csv."""
    names = list(classes["class_name"].unique())
    values = {
        (m, c, k): value
        for m, c, k, value in classes[["entry", "class_name", "metric", "mean"]].itertuples(index=False)
    }
    rows: list[Row] = table.to_dict("records")
    columns = [(metric, name) for metric in metrics for name in names]
    body = [
        (
            (row["entry"], ""),
            *((formatter(m)(values.get((row["entry"], c, m), float("nan"))), "") for m, c in columns),
        )
        for row in rows
    ]
    return Grid(("method", *(f"{title(metric)} {name}" for metric, name in columns)), tuple(body), _references(rows))


def cost_grid(table: pd.DataFrame, *, full: bool) -> Grid:
    """What each method spent per run (mean, range over runs), lost seconds in total, and its size.

    full: also what failed runs spent (else only where a run failed) and the number of validations.
    """
    rows: list[Row] = table.to_dict("records")
    columns = dict(_COSTS)
    if not full:
        columns.pop("validations")
    if not full and not table["n_failed"].any():
        columns.pop("failed s")
    if not table["search_trials"].any():
        columns.pop("search s")
        columns.pop("search lost s")
    body = tuple(((row["entry"], ""), *(cell(row) for cell in columns.values())) for row in rows)
    return Grid(("method", *columns), body, _references(rows))


def allocation_grid(table: pd.DataFrame) -> Grid:
    """What Slurm charged for each method, and how far the ledgers account for it; no rows where nothing ran on it."""
    if table["allocation_status"].isin(["", OUTSIDE]).all():
        return Grid((), ())
    rows: list[Row] = table.to_dict("records")
    headers = ("method", "allocated s", "of", "in ledgers %", "in steps %", "Slurm's accounts")
    body = tuple(
        (
            *((row["entry"], ""), (numbers.seconds(row["allocation_seconds"]), ""), (row["allocation_currency"], "")),
            *((numbers.percent(row[f"allocation_{name}"]), "") for name in ("ledger_ratio", "training_share")),
            (row["allocation_status"], ""),
        )
        for row in rows
    )
    return Grid(headers, body, _references(rows))


def beside_grid(table: pd.DataFrame) -> Grid:
    """Dice over labelled subsets, where there are three, and with failures as 0, where a run failed; else no rows."""
    columns: dict[str, Callable[[Row], Cell]] = {}
    if table["dice_subsets_low"].notna().any():
        columns["Dice % over subsets"] = lambda row: (_bounds(row, "dice_subsets") or numbers.UNDEFINED, "")
    if table["n_failed"].any():
        columns["Dice % failed = 0"] = lambda row: (numbers.percent(row["dice_imputed"]), _bounds(row, "dice_imputed"))
    rows: list[Row] = table.to_dict("records")
    body = tuple(((row["entry"], ""), *(cell(row) for cell in columns.values())) for row in rows)
    return Grid(("method", *columns), body, _references(rows)) if columns else Grid((), ())


def pair_grid(pairs: pd.DataFrame) -> Grid:
    """Differences in Dice, in percentage points, with simultaneous intervals and verdicts."""
    body = []
    for row in pairs.to_dict("records"):
        limits = numbers.bounds(numbers.points(row["simultaneous_low"]), numbers.points(row["simultaneous_high"]))
        better = (
            numbers.share(row["probability_of_improvement"]),
            numbers.bounds(numbers.share(row["improvement_low"]), numbers.share(row["improvement_high"])),
        )
        names = f"{row['entry_a']} - {row['entry_b']}", ""
        p = numbers.probability(row["p_holm"]), ""
        body.append((names, (numbers.points(row["difference"]), limits), p, better, (str(row["verdict"]), "")))
    return Grid(("difference", "Dice points", "p (Holm)", "P(better)", "verdict"), tuple(body))


def _bounds(row: Row, name: str) -> str:
    return numbers.bounds(numbers.percent(row[f"{name}_low"]), numbers.percent(row[f"{name}_high"]))


def _rank(row: Row) -> Cell:
    if not isinstance(row["rank"], int):
        return "", ""
    return f"{row['rank']}-{row['rank_worst']}" if row["rank_worst"] > row["rank"] else str(row["rank"]), ""


def _method(row: Row) -> Cell:
    failed = f", {row['n_failed']} failed" if row["n_failed"] else ""
    return row["entry"], f"{row['n_ok']}/{row['n_runs']} ok{failed}"


def _structures(row: Row) -> Cell:
    return str(row["n_missed"]), f"of {row['n_structures']:,}"


def _references(rows: Sequence[Row]) -> int:
    return sum(row["block"] == "reference" for row in rows)


def _spread(name: str, text: Callable[[float], str]) -> Callable[[Row], Cell]:
    """Mean of a figure over the runs, and its range if they differ in print."""

    def cell(row: Row) -> Cell:
        mean, low, high = (text(row[f"{name}_{which}"]) for which in ("mean", "min", "max"))
        return mean, "" if low == high else f"{low}..{high}"

    return cell


def _single(name: str, text: Callable[[float], str]) -> Callable[[Row], Cell]:
    return lambda row: (text(row[name]), "")


_COSTS: dict[str, Callable[[Row], Cell]] = {
    "device-s": _spread("device_seconds", numbers.seconds),
    "lost s": _single("lost_device_seconds_total", numbers.seconds),
    "search s": _single("search_device_seconds_total", numbers.seconds),
    "search lost s": _single("search_lost_device_seconds_total", numbers.seconds),
    "failed s": _single("failed_device_seconds_total", numbers.seconds),
    "steps": _spread("steps", numbers.count),
    "images": _single("images_seen_mean", numbers.count),
    "labelled images": _single("labelled_images_seen_mean", numbers.count),
    "params training": _single("parameters_training", numbers.count),
    "params test": _single("parameters_predictor", numbers.count),
    "validations": _single("validations", numbers.count),
}
