"""The leaderboard in long form: class by class, validation by validation, and by every Dice that may be required."""

from collections.abc import Callable, Sequence

import pandas as pd

from harness.leaderboard.inputs import Comparison, LeaderboardInput
from harness.leaderboard.scores import Summary
from harness.stats.rliable import TAUS, profile

CLASSES = (
    "suite", "table", "labelled", "checkpoint", "block", "entry", "class_name", "metric", "mean", "low", "high", "std",
    "subsets_low", "subsets_high", "rank", "rank_worst", "n_patients", "n_structures", "n_missed", "n_spurious",
)  # fmt: skip
CURVES = (
    "suite", "table", "labelled", "block", "entry", "validation", "progress", "spent", "budget_currency",
    "device_seconds_mean", "steps_mean", "validation_dice_mean", "validation_dice_min", "validation_dice_max",
    "unlabelled_dice_mean", "n_runs",
)  # fmt: skip
"""spent: progress times the budget, in the budget's currency."""
PROFILES = (
    "suite", "table", "labelled", "checkpoint", "block", "entry", "class_name", "tau", "share", "low", "high",
    "simultaneous_low", "simultaneous_high", "n_patients", "n_runs",
)  # fmt: skip


def build_per_class(inputs: LeaderboardInput) -> pd.DataFrame:
    """One row per comparison, labelled count, checkpoint rule, method, class and metric, with the primary interval.

    Columns mean what they do in `results.build_results`, for one class. A millimetre metric without spacing has no
    rows. Ranks (`results.with_class_ranks` fills them) are those by the class's Dice.
    """
    frame = _in_tables(inputs, _classes, CLASSES)
    return frame.astype({"rank": "Int64", "rank_worst": "Int64"})


def build_curves(inputs: LeaderboardInput) -> pd.DataFrame:
    """Mean and range over the ok runs at each validation; Dice as a fraction, mean over classes."""
    return _in_tables(inputs, _curves, CURVES)


def build_profiles(inputs: LeaderboardInput) -> pd.DataFrame:
    """One row per comparison, labelled count, checkpoint rule, entry, class (or mean) and tau in 0, 0.01, ..., 1.

    share is that of (patient, run) scores strictly above a Dice of tau; low and high hold for one tau,
    simultaneous_low and _high for the whole curve at once (95 %, patients resampled).
    """
    return _in_tables(inputs, _profiles, PROFILES)


def _in_tables(
    inputs: LeaderboardInput, rows_by_cell: Callable[[Comparison], pd.DataFrame], columns: Sequence[str]
) -> pd.DataFrame:
    parts = [comparison.listing.merge(rows_by_cell(comparison), on="cell") for comparison in inputs.comparisons]
    frame = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True).assign(suite=inputs.suite)
    return frame.reindex(columns=list(columns)).astype({"labelled": "Int64"})


def _classes(comparison: Comparison) -> pd.DataFrame:
    names = ["checkpoint", "cell", "class_name"]
    rows = [(*key, *summary) for key, summary in comparison.summaries.items() if summary.n_patients]
    summaries = pd.DataFrame(rows, columns=["metric", *names, *Summary._fields])
    return comparison.structures.merge(summaries, on=names)


def _curves(comparison: Comparison) -> pd.DataFrame:
    validations = comparison.validations.groupby(["cell", "validation"]).agg(
        progress=("progress", "mean"),
        device_seconds_mean=("device_seconds", "mean"),
        steps_mean=("step", "mean"),
        validation_dice_mean=("dice", "mean"),
        validation_dice_min=("dice", "min"),
        validation_dice_max=("dice", "max"),
        unlabelled_dice_mean=("unlabelled_dice", "mean"),
        n_runs=("run", "nunique"),
    )
    shared = comparison.conditions
    amount, currency = (0.0, "") if shared is None else (shared.budget_amount, shared.budget_currency)
    return validations.assign(spent=amount * validations["progress"], budget_currency=currency).reset_index()


def _profiles(comparison: Comparison) -> pd.DataFrame:
    parts = [pd.DataFrame(columns=["cell"])]
    for (metric, checkpoint, cell, class_name), scores in comparison.scores.items():
        if metric == "dice":
            patients, runs = scores.complete.shape
            curve = pd.DataFrame(profile(scores.complete)._asdict()).assign(tau=TAUS, n_patients=patients, n_runs=runs)
            parts.append(curve.assign(checkpoint=checkpoint, cell=cell, class_name=class_name))
    return pd.concat(parts[1:] or parts)
