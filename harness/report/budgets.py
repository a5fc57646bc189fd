"""Where each method's device-seconds and wall seconds went."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from harness.leaderboard.inputs import Comparison
from harness.records.accounts import Reconciliation, Seconds
from harness.report.columns import Json, plain

PHASES = ("train", "eval", "checkpoint", "data", "build", "warmup", "log", "idle", "unaccounted")
"""Wall phases in the order in which they are drawn; others come before `unaccounted`."""


def budgets(comparison: Comparison, search: pd.DataFrame) -> Json:
    """Sums over the ended runs of each method, and over its search trials.

    search: columns as in `harness.leaderboard.searches`.

    device: useful (of finished finals), failed, lost (destroyed by interruptions, search included), search.
    wall:   seconds by phase of the finals; phases in order.
    """
    ended = comparison.runs[comparison.runs["status"].isin(["ok", "failed"])]
    phases: Counter[str] = Counter()
    methods = {}
    for method in dict.fromkeys([*comparison.runs["entry"], *search["entry"]]):
        runs = ended[ended["entry"] == method]
        wall: Counter[str] = Counter()
        for seconds in runs["wall_seconds"]:
            wall.update(seconds)
        phases.update(wall)
        device = _device(runs, search[search["entry"] == method])
        methods[method] = {"device": device, "wall": {name: plain(seconds) for name, seconds in wall.items()}}
    return {"table": comparison.number, "phases": _ordered(phases), "methods": methods}


def _device(runs: pd.DataFrame, trials: pd.DataFrame) -> Json:
    useful = runs["useful_device_seconds"].astype("float64")
    lost = pd.concat([runs["lost_device_seconds"], trials["lost_device_seconds"]])
    ok = runs["status"] == "ok"
    return {
        "useful": plain(float(useful[ok].sum())),
        "failed": plain(float(useful[~ok].sum())),
        "lost": plain(float(lost.astype("float64").sum())),
        "search": plain(float(trials["useful_device_seconds"].astype("float64").sum())),
        "runs": len(runs),
        "trials": len(trials),
    }


def _ordered(phases: Counter[str]) -> list[str]:
    """As in PHASES; what is not named there comes just before the remainder."""
    return sorted(phases, key=lambda name: (PHASES.index(name) if name in PHASES else len(PHASES) - 1.5, name))


def allocations(record: Reconciliation | None) -> Json | None:
    """What Slurm charged for each method, by what it went into; None where nothing was reconciled.

    rows: one per method and currency (GPU or CPU), seconds by part; ledger and training are shares of the allocation.
    """
    if record is None or not record.entries:
        return None
    rows = [
        {
            "entry": account.entry,
            "currency": account.currency,
            "attempts": account.attempts,
            "seconds": {_part(name): plain(seconds) for name, seconds in account.seconds.model_dump().items()},
            "ledger": plain(account.ledger_ratio),
            "training": plain(account.training_share),
        }
        for account in record.entries
    ]
    return {"parts": [_part(name) for name in Seconds.model_fields], "rows": rows}


def _part(name: str) -> str:
    return name.replace("_", "-")
