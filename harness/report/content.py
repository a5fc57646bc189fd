"""All data of the page as one JSON, taken from the leaderboard's frames and the records."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pandas as pd

from harness.leaderboard.break_even import find_baselines, ladders
from harness.leaderboard.figure import PALETTE, palette_places
from harness.leaderboard.inputs import Comparison, labelled_counts
from harness.leaderboard.leaderboard import Leaderboard
from harness.leaderboard.rows import ended_runs
from harness.leaderboard.scores import MEAN_CLASS
from harness.records.accounts import Reconciliation, Seconds
from harness.report.columns import Json, columns, plain

METRICS = ("dice", "jaccard", "nsd_voxel", "nsd_mm", "hd95_voxel", "asd_voxel", "hd95_mm", "asd_mm")
"""What the page can switch to; the csv files hold all."""

SHAPES = 6

PROFILES = ("table", "labelled", "checkpoint", "entry", "class_name", "tau", "share", "low", "high")
FAILED = ("entry", "labelled", "subset", "seed", "status", "failure_kind", "failure_reason")
PHASES = ("train", "eval", "checkpoint", "data", "build", "warmup", "compile", "pacing", "log", "idle", "unaccounted")
"""Wall phases in the order in which they are drawn; others come before `unaccounted`."""


def content(leaderboard: Leaderboard) -> Json:
    """Everything but the worst cases."""
    inputs, search = leaderboard.inputs, leaderboard.inputs.search
    return {
        "suite": inputs.suite,
        "styles": styles(leaderboard.results),
        "groups": groups(inputs.comparisons),
        "ladder": ladder_content(leaderboard),
        "rows": columns(leaderboard.results),
        "classes": columns(_shown(leaderboard.per_class)),
        "pairs": columns(pd.concat([_shown(leaderboard.paired), leaderboard.paired_per_class])),
        "curves": columns(leaderboard.curves),
        "profiles": columns(thinned(leaderboard.profiles)),
        "patients": [table for comparison in inputs.comparisons for table in patients(comparison)],
        "failed": [failed(comparison) for comparison in inputs.comparisons],
        "budgets": [
            budgets(comparison, search if comparison.number == 1 else search.iloc[:0])
            for comparison in inputs.comparisons
        ],
        "allocations": allocations(inputs.reconciliation),
    }


def styles(rows: pd.DataFrame) -> Json:
    """Method -> index of its colour, as in curves.png, and of its marker. References have none."""
    return {
        name: {"colour": None, "shape": None}
        if place is None
        else {"colour": place % len(PALETTE), "shape": (place + place // len(PALETTE)) % SHAPES}
        for name, place in palette_places(rows).items()
    }


def groups(comparisons: Sequence[Comparison]) -> list[Json]:
    """The tables of the page in order: one per comparison and labelled count."""
    return [
        {
            "table": comparison.number,
            "labelled": labelled,
            "rung": comparison.rung or None,
            "title": "references alone" if labelled is None else f"{labelled} labelled patients",
            "conditions": comparison.title,
        }
        for comparison in comparisons
        for labelled in comparison.labelled_counts
    ]


def ladder_content(leaderboard: Leaderboard) -> Json | None:
    """A picture per ladder and labelled count, and all leads; None without a ladder."""
    pictures = [
        {
            "ladder": number,
            "labelled": labelled,
            "title": f"{labelled} labelled patients",
            "tables": [comparison.number for comparison in ladder],
            "rungs": [comparison.rung for comparison in ladder],
            "baselines": [cell.rpartition("@")[0] for cell in find_baselines(ladder, labelled)],
        }
        for number, ladder in enumerate(ladders(leaderboard.inputs), start=1)
        for labelled in labelled_counts(ladder)
    ]
    return {"pictures": pictures, "leads": columns(leaderboard.break_even)} if pictures else None


def patients(comparison: Comparison) -> Iterator[Json]:
    """Dice of each patient by checkpoint rule and cell."""
    patients = comparison.tested["patient"].unique()
    for checkpoint in comparison.tested["checkpoint"].unique():
        keys = sorted(key for key in comparison.scores if (key[0], key[1], key[3]) == ("dice", checkpoint, MEAN_CLASS))
        wide = pd.DataFrame({key[2]: comparison.scores[key].by_patient for key in keys})
        names = {"table": comparison.number, "checkpoint": checkpoint, "patients": list(patients)}
        yield {**names, "cells": columns(wide)}


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["metric"].isin(METRICS)]


def thinned(profiles: pd.DataFrame) -> pd.DataFrame:
    """Shares to a thousandth, without the points inside a level stretch of a curve."""
    shares = ["share", "low", "high"]
    rounded = profiles.astype(dict.fromkeys(shares, "float64")).round(dict.fromkeys(shares, 3))
    lines = rounded.groupby([name for name in PROFILES if name not in ("tau", *shares)], sort=False, dropna=False)
    before, after = (lines[shares].shift(by) for by in (1, -1))
    level = (rounded[shares].eq(before) & rounded[shares].eq(after)).all(axis=1)
    return rounded.loc[~level, list(PROFILES)]


def failed(comparison: Comparison) -> Json:
    """The ended runs of a table that have no numbers, and why."""
    runs = comparison.runs[comparison.runs["status"].isin(["failed", "unfit"])]
    return {"table": comparison.number, "runs": columns(runs[list(FAILED)])}


def budgets(comparison: Comparison, search: pd.DataFrame) -> Json:
    """Sums over the ended runs of each method, and over its search trials.

    device: useful (of finished finals), failed, lost (destroyed by interruptions, search included), search.
    wall:   seconds by phase of the finals; phases in order.
    """
    ended = ended_runs(comparison.runs)
    methods: dict[str, Json] = {}
    phases: dict[Any, float] = {}
    for method in dict.fromkeys([*comparison.runs["entry"], *search["entry"]]):
        runs = ended[ended["entry"] == method]
        wall = pd.DataFrame(runs["wall_seconds"].tolist()).sum().to_dict()
        phases |= wall
        device = _device(runs, search[search["entry"] == method])
        methods[method] = {"device": device, "wall": {name: plain(seconds) for name, seconds in wall.items()}}
    return {"table": comparison.number, "phases": _ordered(phases), "methods": methods}


def _device(runs: pd.DataFrame, trials: pd.DataFrame) -> Json:
    useful, ok = runs["useful_device_seconds"], runs["status"] == "ok"
    seconds = {
        "useful": useful[ok],
        "failed": useful[~ok],
        "lost": pd.concat([runs["lost_device_seconds"], trials["lost_device_seconds"]]),
        "search": trials["useful_device_seconds"],
    }
    sums = {name: plain(float(each.astype("float64").sum())) for name, each in seconds.items()}
    return {**sums, "runs": len(runs), "trials": len(trials)}


def _ordered(phases: Collection[str]) -> list[str]:
    return sorted(phases, key=lambda name: (PHASES.index(name) if name in PHASES else len(PHASES) - 1.5, name))


def allocations(record: Reconciliation | None) -> Json | None:
    """What Slurm charged for each method, by what it went into; None where nothing was reconciled.

    rows: one per method and currency; ledger and training are shares of the allocation.
    """
    if record is None or not record.entries:
        return None
    rows = [
        {
            **account.model_dump(include={"entry", "currency", "attempts"}),
            "seconds": {_part(name): plain(seconds) for name, seconds in account.seconds.model_dump().items()},
            "ledger": plain(account.ledger_ratio),
            "training": plain(account.training_share),
        }
        for account in record.entries
    ]
    return {"parts": [_part(name) for name in Seconds.model_fields], "rows": rows}


def _part(name: str) -> str:
    return name.replace("_", "-")
