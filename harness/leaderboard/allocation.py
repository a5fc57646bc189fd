"""What Slurm's accounts say of a method, as they were last reconciled: columns of the leaderboard."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.records.accounts import Reconciliation

OUTSIDE, RECONCILED, UNEXPLAINED, NOT_RECONCILED = "no allocation", "reconciled", "unexplained time", "not reconciled"

NOTE = (
    "Allocations: device-seconds that Slurm charged for all of a method's units and trials, shares of idle time "
    "included. Ledger: the part that the ledgers account for; in steps: the part inside training steps."
)


def allocation_columns(record: Reconciliation | None, method: str, units: pd.DataFrame) -> dict[str, Any]:
    """Of one row of the leaderboard; units: its rows of `rows.unit_row`.

    allocation_status: how far the method's units are reconciled, empty where none has ended. allocation_seconds: of
    GPUs, or CPUs, as allocation_currency says. The ratios are of all its allocations.
    """
    row: dict[str, Any] = {
        "allocation_status": _status(record, method, units),
        "allocation_currency": "",
        "allocation_seconds": float("nan"),
        "allocation_ledger_ratio": float("nan"),
        "allocation_training_share": float("nan"),
    }
    found = [] if record is None else [one for one in record.methods if one.method == method]
    if not found or row["allocation_status"] not in (RECONCILED, UNEXPLAINED):
        return row
    largest = max(found, key=lambda one: one.allocated)
    if len(found) > 1:  # on GPUs and on CPUs: no sum of the two means anything
        row["allocation_status"] += f" ({largest.currency} alone shown)"
    return row | {
        "allocation_currency": largest.currency,
        "allocation_seconds": largest.allocated,
        "allocation_ledger_ratio": largest.ledger_ratio,
        "allocation_training_share": largest.training_share,
    }


def _status(record: Reconciliation | None, method: str, units: pd.DataFrame) -> str:
    ended = units[units["status"].isin(["ok", "failed"])]
    if ended.empty:
        return ""
    there = {} if record is None else _found(record)
    in_slurm = ended[ended["slurm_job"].notna() | ended["unit"].isin(list(there))]
    if in_slurm.empty:
        return OUTSIDE
    short = [unit for unit, attempts in in_slurm[["unit", "attempts"]].itertuples(index=False) if
             there.get(unit, 0) < attempts]  # fmt: skip
    if short:
        some = f" ({len(in_slurm) - len(short)} of {len(in_slurm)} units are)" if len(short) < len(in_slurm) else ""
        return NOT_RECONCILED + some
    breached = {} if record is None else {one.method for each in record.breaches for one in each.attempts}
    return UNEXPLAINED if method in breached else RECONCILED


def _found(record: Reconciliation) -> dict[str, int]:
    """Unit -> how many of its attempts were found in an allocation."""
    counts: dict[str, int] = {}
    for unit, _ in record.reconciled:
        counts[unit] = counts.get(unit, 0) + 1
    return counts
