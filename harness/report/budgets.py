"""Where each method's device-seconds and wall seconds went."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from harness.leaderboard.inputs import Comparison
from harness.records.accounts import Reconciliation, Seconds
from harness.report.columns import Json, plain

PHASES = ("train", "eval", "checkpoint", "data", "build", "warmup", "log", "idle", "unaccounted")
"""Wall phases in the order in which they are drawn; others come before `unaccounted`."""


def budgets(comparison: Comparison, search: pd.DataFrame | None) -> Json:
    """Sums over the units of each method that ran here, and over its search trials.

    device: useful (of finished finals), failed, lost (destroyed by interruptions, search included), search.
    wall:   seconds by phase of the finals; phases in order.
    """
    here = comparison.units[comparison.units["status"].isin(["ok", "failed"])]
    names = list(dict.fromkeys([*comparison.units["method"], *([] if search is None else search["method"])]))
    phases: Counter[str] = Counter()
    methods = {}
    for name in names:
        own = here[here["method"] == name]
        wall: Counter[str] = Counter()
        for seconds in own["wall_seconds"]:
            wall.update(seconds)
        phases.update(wall)
        methods[name] = {"device": _device(own, search, name), "wall": {k: plain(v) for k, v in wall.items()}}
    return {"table": comparison.number, "phases": _ordered(phases), "methods": methods}


def _device(own: pd.DataFrame, search: pd.DataFrame | None, method: str) -> Json:
    useful = own["useful_device_seconds"].astype("float64")
    ok = own["status"] == "ok"
    trials = None if search is None else search[search["method"] == method]
    searched, lost = (0.0, 0.0) if trials is None else (
        float(trials["useful_device_seconds"].sum()), float(trials["lost_device_seconds"].sum()),
    )  # fmt: skip
    return {
        "useful": plain(float(useful[ok].sum())),
        "failed": plain(float(useful[~ok].sum())),
        "lost": plain(float(own["lost_device_seconds"].astype("float64").sum()) + lost),
        "search": plain(searched),
        "units": len(own),
        "trials": 0 if trials is None else len(trials),
    }


def _ordered(phases: Counter[str]) -> list[str]:
    """As in PHASES; what is not named there comes just before the remainder."""
    return sorted(phases, key=lambda name: (PHASES.index(name) if name in PHASES else len(PHASES) - 1.5, name))


def allocations(record: Reconciliation | None) -> Json | None:
    """What Slurm charged for each method, by what it went into; None where nothing was reconciled.

    rows: one per method and currency (GPU or CPU), seconds by part; ledger and training are shares of the allocation.
    """
    if record is None or not record.methods:
        return None
    rows = [
        {
            "method": one.method,
            "currency": one.currency,
            "attempts": one.attempts,
            "seconds": {_part(name): plain(value) for name, value in one.seconds.model_dump().items()},
            "ledger": plain(one.ledger_ratio),
            "training": plain(one.training_share),
        }
        for one in record.methods
    ]
    return {"parts": [_part(name) for name in Seconds.model_fields], "rows": rows}


def _part(name: str) -> str:
    return name.replace("_", "-")
