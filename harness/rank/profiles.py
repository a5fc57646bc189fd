"""Performance profiles: the share of (patient, unit) scores above a Dice of tau."""

from __future__ import annotations

import pandas as pd

from harness.rank.frame import Records

COLUMNS = (
    "suite", "table", "labelled", "selection", "block", "method", "class_name", "tau", "share", "low", "high",
    "simultaneous_low", "simultaneous_high", "n_patients", "n_units",
)  # fmt: skip


def profiles(records: Records) -> pd.DataFrame:
    """One row per comparison, labelled count, selection, method, class (or their mean) and tau in 0, 0.01, ..., 1.

    share is that of scores strictly above tau; low and high hold for one tau, simultaneous_low and _high for the whole
    curve at once (95 %, patients resampled).
    """
    return pd.DataFrame(columns=list(COLUMNS)).astype({"labelled": "Int64"})
