"""Columns of the leaderboard from Slurm's accounts, as they were last reconciled."""

import math
from collections import Counter
from typing import Any

import pandas as pd

from harness.leaderboard.rows import ended_runs
from harness.records.accounts import Reconciliation

OUTSIDE, RECONCILED, UNEXPLAINED, NOT_RECONCILED = "no allocation", "reconciled", "unexplained time", "not reconciled"

COLUMNS = (
    "allocation_status", "allocation_currency", "allocation_seconds", "allocation_ledger_ratio",
    "allocation_training_share",
)  # fmt: skip

NOTE = (
    "Allocations: device-seconds that Slurm charged for all of a method's runs and trials, shares of idle time "
    "included. Ledger: the part that the ledgers account for; in steps: the part inside training steps."
)


def allocation_columns(record: Reconciliation | None, method: str, runs: pd.DataFrame) -> dict[str, Any]:
    """The columns of one row of the leaderboard; runs: its rows of `Comparison.runs`.

    allocation_status: how far the method's runs are reconciled, empty where none has ended. Ratios are of all
                       allocations.
    """
    status = _status(record, method, runs)
    shown: tuple[Any, ...] = ("", math.nan, math.nan, math.nan)
    accounts = [] if record is None else [account for account in record.entries if account.entry == method]
    if accounts and status in (RECONCILED, UNEXPLAINED):
        largest = max(accounts, key=lambda account: account.allocated)
        if len(accounts) > 1:  # on GPUs and on CPUs: no sum of the two means anything
            status += f" ({largest.currency} alone shown)"
        shown = largest.currency, largest.allocated, largest.ledger_ratio, largest.training_share
    return dict(zip(COLUMNS, (status, *shown), strict=True))


def _status(record: Reconciliation | None, method: str, runs: pd.DataFrame) -> str:
    ended = ended_runs(runs)
    if ended.empty:
        return ""
    reconciled_attempts = Counter(run for run, _ in record.reconciled) if record is not None else Counter[str]()
    in_slurm = ended[ended["slurm_job"].notna() | ended["run"].isin(list(reconciled_attempts))]
    if in_slurm.empty:
        return OUTSIDE
    attempts = zip(in_slurm["run"], in_slurm["attempts"], strict=True)
    complete = sum(reconciled_attempts[run] >= count for run, count in attempts)
    if complete < len(in_slurm):
        return NOT_RECONCILED + (f" ({complete} of {len(in_slurm)} runs are)" if complete else "")
    unexplained = {job.entry for account in record.violations for job in account.attempts} if record else set()
    return UNEXPLAINED if method in unexplained else RECONCILED
