"""The tables as text cells, for the terminal and for markdown alike."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import pandas as pd

from harness.leaderboard import numbers
from harness.leaderboard.allocation import OUTSIDE
from harness.records.cases import FRACTIONS, METRICS
from harness.records.untrusted_text import single_line
from harness.stats.families import NOT_SIGNIFICANT, SIGNIFICANT, UNDETERMINED

Row = dict[Any, Any]
Pairs = Mapping[tuple[str, str], Row]
Cell = tuple[str, str]
"""A value and its interval or range ("" for none)."""
Column = Callable[[Row], Cell | str]
"""The cell of a row, or its value alone."""

SHORT = 13
"""Characters of a method's name beside which all columns fit."""
TITLES = {"dice": "Dice %", "jaccard": "Jaccard %", "nsd": "NSD %", "hd95": "HD95", "asd": "ASD", "assd": "ASSD"}


@dataclass(frozen=True)
class Grid:
    """Headers and rows of cells; the last `references` rows are references, the first `text` columns hold words."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    references: int = 0
    text: int = 1

    @property
    def ranked(self) -> int:
        return len(self.rows) - self.references


def title(metric: str) -> str:
    """Header of a metric with its unit of measure: "HD95 voxel"."""
    name, _, unit_of_length = metric.partition("_")
    return f"{TITLES[name]} {unit_of_length}".strip()


def formatter(metric: str) -> Callable[[float], str]:
    return numbers.percent if metric in FRACTIONS else numbers.distance


def metric_cell(row: Row, metric: str) -> Cell:
    """Mean with the standard deviation over runs, and the interval over patients."""
    text = formatter(metric)
    deviation = row[f"{metric}_std"]
    spread = "" if math.isnan(deviation) else f" ± {text(deviation)}"
    return f"{text(row[metric])}{spread}", _bounds(row, metric, text)


def main_grid(table: pd.DataFrame, best_val: pd.DataFrame, metrics: Sequence[str] = METRICS) -> Grid:
    """Every metric that has values, the best_val Dice, missed structures."""
    second = {row["entry"]: metric_cell(row, "dice") for row in best_val.to_dict("records")}
    shown = [metric for metric in metrics if table[metric].notna().any() or metric == "dice"]
    columns: dict[str, Column] = {"#": _rank, "method": _method}
    columns |= {title(name): partial(metric_cell, metric=name) for name in shown}
    if second:
        columns["Dice % best_val"] = lambda row: second.get(row["entry"], (numbers.UNDEFINED, ""))
    return grid_of(table, {**columns, "missed": _structures}, text=2)


def short_grid(table: pd.DataFrame, pairs: Pairs, baseline: str | None) -> Grid:
    """What fits 80 columns: rank, method, Dice, its interval and its lead over a baseline, HD95, missed structures.

    Beside longer names runs are left out where all have ended well and every entry has as many.
    """
    hd95 = "hd95_mm" if table["hd95_mm"].notna().any() else "hd95_voxel"

    def lead(row: Row) -> Row:
        return pairs.get((row["entry"], str(baseline)), {"difference": math.nan, "verdict": ""})

    columns: dict[str, Column] = {
        "#": lambda row: "ref." if row["block"] == "reference" else _rank(row),
        "method": _ENTRY,
        "Dice %": lambda row: metric_cell(row, "dice")[0],
        "95 %": lambda row: metric_cell(row, "dice")[1],
    }
    if baseline is not None:
        columns["lead"] = lambda row: (
            "baseline" if row["entry"] == baseline else numbers.points(lead(row)["difference"])
        )
        columns["sig."] = lambda row: _VERDICTS.get(lead(row)["verdict"], "")
    columns[title(hd95)] = _single(hd95, numbers.distance)
    columns["missed"] = lambda row: f"{row['n_missed']}/{row['n_structures']}"
    incomplete = table["n_runs"].nunique() > 1 or (table["n_ok"] < table["n_runs"]).any()
    if incomplete or table["entry"].str.len().max() <= SHORT:
        columns["runs"] = lambda row: f"{row['n_ok']}/{row['n_runs']}"
    return grid_of(table, columns, text=2)


def class_grid(table: pd.DataFrame, classes: pd.DataFrame, metrics: Sequence[str]) -> Grid:
    """Mean of each metric by class, in the order of the leaderboard."""
    means = classes.set_index(["metric", "class_name", "entry"])["mean"].to_dict()

    def cell(metric: str, name: str) -> Column:
        return lambda row: formatter(metric)(means.get((metric, name, row["entry"]), math.nan))

    names = product(metrics, classes["class_name"].unique())
    return grid_of(
        table, {"method": _ENTRY, **{f"{title(metric)} {name}": cell(metric, name) for metric, name in names}}
    )


def cost_grid(table: pd.DataFrame, *, full: bool) -> Grid:
    """What each method spent per run (mean, range over runs), lost seconds in total, and its size.

    full: also what failed runs spent (else only where one failed) and the number of validations.
    """
    hidden = set() if full else {"validations"} if table["n_failed"].any() else {"validations", "failed s"}
    if not table["search_trials"].any():
        hidden |= {"search s", "search lost s"}
    if table["search_reference_steps_total"].isna().all():
        hidden |= {"search ref. steps"}
    return grid_of(table, {name: cell for name, cell in _COSTS.items() if name not in hidden})


def allocation_grid(table: pd.DataFrame) -> Grid:
    """What Slurm charged for each method, and how far the ledgers account for it."""
    return Grid((), ()) if table["allocation_status"].isin(["", OUTSIDE]).all() else grid_of(table, _ALLOCATIONS)


def beside_grid(table: pd.DataFrame) -> Grid:
    """Dice over labelled subsets, from three on, and with failures as 0, where a run failed."""
    columns: dict[str, Column] = {}
    if table["dice_subsets_low"].notna().any():
        columns["Dice % over subsets"] = lambda row: _bounds(row, "dice_subsets") or numbers.UNDEFINED
    if table["n_failed"].any():
        columns["Dice % failed = 0"] = lambda row: (numbers.percent(row["dice_imputed"]), _bounds(row, "dice_imputed"))
    return grid_of(table, {"method": _ENTRY, **columns}) if columns else Grid((), ())


def pair_grid(pairs: pd.DataFrame) -> Grid:
    """Differences in Dice points, with simultaneous intervals and verdicts."""
    return grid_of(pairs, _PAIRS)


def break_even_grid(leads: pd.DataFrame) -> Grid:
    """Break-even of each entry, and on each rung its lead over the nearest baseline."""
    ordered = leads.sort_values("difference", ascending=False, na_position="first").to_dict("records")
    nearest = {(row["entry"], row["rung"]): row for row in ordered}

    def lead(rung: int) -> Column:
        def cell(row: Row) -> Cell:
            own = nearest[row["entry"], rung]
            return numbers.points(own["difference"]), _bounds(own, "simultaneous", numbers.points)

        return cell

    columns: dict[str, Column] = {
        "method": _ENTRY,
        "break-even": lambda row: str(row["break_even"]) if isinstance(row["break_even"], int) else row["verdict"],
    }
    columns |= {f"{rung} steps": lead(rung) for rung in leads["rung"].unique()}
    return grid_of(leads.drop_duplicates("entry"), columns, text=2)


def rung_grid(rows: pd.DataFrame, *, intervals: bool) -> Grid:
    """Dice of each entry on each rung, best first on the longest one.

    rows: of `results.build_results`, of one ladder, labelled count and checkpoint.
    """
    by_rung = {(row["entry"], row["rung"]): row for row in rows.to_dict("records")}

    def dice(rung: int) -> Column:
        def cell(row: Row) -> Cell | str:
            own = by_rung.get((row["entry"], rung))
            if not own or not own["n_ok"]:
                return numbers.UNDEFINED
            return metric_cell(own, "dice") if intervals else metric_cell(own, "dice")[0]

        return cell

    longest = rows.sort_values(["rung", "dice"], ascending=False).drop_duplicates("entry")
    ordered = longest.sort_values("block", key=lambda block: block == "reference", kind="stable")
    columns = {f"{rung:,}": dice(rung) for rung in sorted(rows["rung"].unique())}
    return grid_of(ordered, {"method": _ENTRY, **columns})


def grid_of(table: pd.DataFrame, columns: Mapping[str, Column], text: int = 1) -> Grid:
    """A grid of what each column, by its header, makes of every row of the table."""
    rows: list[Row] = table.to_dict("records")
    body = tuple(tuple(_cell(column(row)) for column in columns.values()) for row in rows)
    return Grid(tuple(map(single_line, columns)), body, sum(row.get("block") == "reference" for row in rows), text)


def _cell(content: Cell | str) -> Cell:
    value, beside = (content, "") if isinstance(content, str) else content
    return single_line(value), single_line(beside)


def _bounds(row: Row, name: str, text: Callable[[float], str] = numbers.percent) -> str:
    return numbers.bounds(text(row[f"{name}_low"]), text(row[f"{name}_high"]))


def _rank(row: Row) -> str:
    if not isinstance(row["rank"], int):
        return ""
    return f"{row['rank']}-{row['rank_worst']}" if row["rank_worst"] > row["rank"] else str(row["rank"])


def _method(row: Row) -> Cell:
    others = (f", {row[f'n_{status}']} {status}" for status in ("failed", "unfit") if row[f"n_{status}"])
    marked = ", marked" if row["marked"] else ""
    return row["entry"], f"{row['n_ok']}/{row['n_runs']} ok{''.join(others)}{marked}"


def _structures(row: Row) -> Cell:
    return str(row["n_missed"]), f"of {row['n_structures']:,}"


def _spread(name: str, text: Callable[[float], str]) -> Column:
    """Mean of a figure over the runs, and its range if they differ in print."""

    def cell(row: Row) -> Cell:
        mean, low, high = (text(row[f"{name}_{which}"]) for which in ("mean", "min", "max"))
        return mean, "" if low == high else f"{low}..{high}"

    return cell


def _search_steps(row: Row) -> Cell:
    total, trial = (numbers.count(row[f"search_reference_steps_{which}"]) for which in ("total", "trial"))
    return total, "" if trial == numbers.UNDEFINED else f"{trial} each"


def _single(name: str, text: Callable[[float], str] | type[str] = str) -> Column:
    return lambda row: text(row[name])


_ENTRY = _single("entry")
_VERDICTS = {SIGNIFICANT: "yes", NOT_SIGNIFICANT: "no", UNDETERMINED: "?"}

_COSTS: dict[str, Column] = {
    "method": _ENTRY,
    "device-s": _spread("device_seconds", numbers.seconds),
    "lost s": _single("lost_device_seconds_total", numbers.seconds),
    "search s": _single("search_device_seconds_total", numbers.seconds),
    "search ref. steps": _search_steps,
    "search lost s": _single("search_lost_device_seconds_total", numbers.seconds),
    "failed s": _single("failed_device_seconds_total", numbers.seconds),
    "steps": _spread("steps", numbers.count),
    "images": _single("images_seen_mean", numbers.count),
    "labelled images": _single("labelled_images_seen_mean", numbers.count),
    "params training": _single("parameters_training", numbers.count),
    "params test": _single("parameters_predictor", numbers.count),
    "validations": _single("validations", numbers.count),
}

_ALLOCATIONS: dict[str, Column] = {
    "method": _ENTRY,
    "allocated s": _single("allocation_seconds", numbers.seconds),
    "of": _single("allocation_currency"),
    "in ledgers %": _single("allocation_ledger_ratio", numbers.percent),
    "in steps %": _single("allocation_training_share", numbers.percent),
    "Slurm's accounts": _single("allocation_status"),
}

_PAIRS: dict[str, Column] = {
    "difference": lambda row: f"{row['entry_a']} - {row['entry_b']}",
    "Dice points": lambda row: (
        numbers.points(row["difference"]),
        _bounds(row, "simultaneous", numbers.points),
    ),
    "p (Holm)": _single("p_holm", numbers.probability),
    "P(better)": lambda row: (
        numbers.share(row["probability_of_improvement"]),
        _bounds(row, "improvement", numbers.share),
    ),
    "verdict": _single("verdict"),
}
