"""Validation Dice against device-seconds: how fast a method gets where."""

from __future__ import annotations

import pandas as pd

from harness.leaderboard.inputs import LeaderboardInput

COLUMNS = (
    "suite", "table", "labelled", "block", "entry", "validation", "progress", "device_seconds_mean", "steps_mean",
    "validation_dice_mean", "validation_dice_min", "validation_dice_max", "unlabelled_dice_mean", "n_runs",
)  # fmt: skip


def build_curves(inputs: LeaderboardInput) -> pd.DataFrame:
    """Mean and range over the ok runs (seeds and subsets) at each validation; Dice as a fraction, mean over classes."""
    parts = [pd.DataFrame(columns=list(COLUMNS))]
    for comparison in inputs.comparisons:
        by_cell = {
            cell: _average(validations) for cell, validations in comparison.validations.groupby("cell", sort=False)
        }
        entries = (entry for entry in comparison.all_entries if entry.cell in by_cell)
        parts += [by_cell[entry.cell].assign(suite=inputs.suite, **entry.columns) for entry in entries]
    return pd.concat(parts[1:] or parts, ignore_index=True)[list(COLUMNS)].astype({"labelled": "Int64"})


def _average(validations: pd.DataFrame) -> pd.DataFrame:
    return (
        validations.groupby("validation")
        .agg(
            progress=("progress", "mean"),
            device_seconds_mean=("device_seconds", "mean"),
            steps_mean=("step", "mean"),
            validation_dice_mean=("dice", "mean"),
            validation_dice_min=("dice", "min"),
            validation_dice_max=("dice", "max"),
            unlabelled_dice_mean=("unlabelled_dice", "mean"),
            n_runs=("run", "nunique"),
        )
        .reset_index()
    )
