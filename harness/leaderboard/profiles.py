"""Performance profiles of every method as a frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from harness.leaderboard.inputs import LeaderboardInput
from harness.stats.profile import TAUS, Profile, profile

COLUMNS = (
    "suite", "table", "labelled", "checkpoint", "block", "entry", "class_name", "tau", "share", "low", "high",
    "simultaneous_low", "simultaneous_high", "n_patients", "n_runs",
)  # fmt: skip


def build_profiles(inputs: LeaderboardInput) -> pd.DataFrame:
    """One row per comparison, labelled count, checkpoint rule, entry, class (or mean) and tau in 0, 0.01, ..., 1.

    share is that of (patient, run) scores strictly above a Dice of tau; low and high hold for one tau,
    simultaneous_low and _high for the whole curve at once (95 %, patients resampled).
    """
    names: list[dict[str, Any]] = []
    curves: list[Profile] = []
    for comparison in inputs.comparisons:
        cells = {key[1:]: scores.complete for key, scores in comparison.scores.items() if key[0] == "dice"}
        by_cell = {key: profile(values) for key, values in cells.items()}
        for entry in comparison.all_entries:
            for key in (key for key in cells if key[1] == entry.cell):
                counts = dict(zip(("n_patients", "n_runs"), cells[key].shape, strict=True))
                names.append({**entry.columns, "checkpoint": key[0], "class_name": key[2], **counts})
                curves.append(by_cell[key])
    keys = pd.DataFrame(names).iloc[np.repeat(np.arange(len(names)), len(TAUS))].reset_index(drop=True)
    frame = keys.assign(suite=inputs.suite, tau=np.tile(TAUS, len(names)))
    for i, name in enumerate(Profile._fields):
        frame[name] = np.concatenate([curve[i] for curve in curves]) if curves else None
    return frame.reindex(columns=list(COLUMNS)).astype({"labelled": "Int64"})
