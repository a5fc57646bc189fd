"""Validation Dice against device-seconds: how fast a method gets where."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.results import entries, labelled_counts

COLUMNS = (
    "suite", "table", "labelled", "block", "method", "look", "progress", "device_seconds_mean", "steps_mean",
    "validation_dice_mean", "validation_dice_min", "validation_dice_max", "unlabelled_dice_mean", "n_units",
)  # fmt: skip


def build_curves(inputs: LeaderboardInput) -> pd.DataFrame:
    """Mean and range over the ok units (seeds and subsets) of each look; Dice as a fraction, mean over classes."""
    parts = [_comparison(comparison) for comparison in inputs.comparisons]
    frame = pd.concat(parts, ignore_index=True)
    frame.insert(0, "suite", inputs.suite)
    return frame.reindex(columns=list(COLUMNS)).astype({"labelled": "Int64"})


def _comparison(comparison: Comparison) -> pd.DataFrame:
    by_arm = {str(arm): _looks(own) for arm, own in comparison.looks.groupby("arm", sort=False)}
    parts = []
    for labelled in labelled_counts(comparison):
        for entry in entries(comparison, labelled):
            if entry.arm in by_arm:
                shared: dict[str, Any] = {
                    "table": comparison.number,
                    "labelled": labelled,
                    "block": "reference" if entry.reference else "ranked",
                    "method": entry.method,
                }
                parts.append(by_arm[entry.arm].assign(**shared))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _looks(own: pd.DataFrame) -> pd.DataFrame:
    return (
        own.groupby("look")
        .agg(
            progress=("progress", "mean"),
            device_seconds_mean=("device_seconds", "mean"),
            steps_mean=("step", "mean"),
            validation_dice_mean=("dice", "mean"),
            validation_dice_min=("dice", "min"),
            validation_dice_max=("dice", "max"),
            unlabelled_dice_mean=("unlabelled_dice", "mean"),
            n_units=("unit", "nunique"),
        )
        .reset_index()
    )
