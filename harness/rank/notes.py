"""What must be said beside every table: conditions, sample, interval, rules, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.rank.conditions import Conditions
from harness.rank.frame import Comparison, Records
from harness.rank.leaderboard import declared_engines

MINI = "mini: small images, not comparable with published tables"
INTERVAL = (
    "Intervals: 95 % bootstrap-t of the mean over patients (classes, phases, seeds and subsets of a patient averaged), "
    "conditional on the seeds and subsets that ran."
)
EMPTY_MASKS = (
    "Empty masks: both empty = Dice 1, distances 0; one empty = Dice 0, distances the diagonal of the volume; "
    "missed = structures that were not found at all."
)
RANKING = "Rank: by mean Dice of the last checkpoint; a method with a failed unit ranks after all without."


def heading(records: Records, comparison: Comparison) -> str:
    """Suite, and what sets this comparison apart where there are several."""
    if len(records.comparisons) == 1:
        return f"Leaderboard of {records.suite}"
    return (
        f"Leaderboard of {records.suite}, table {comparison.number} of {len(records.comparisons)}: {comparison.title}"
    )


def notes(records: Records, comparison: Comparison) -> list[str]:
    """Lines to stand under the heading, the most important first."""
    lines = [MINI] if records.suite.endswith("_mini") else []
    if comparison.conditions is not None:
        lines += conditions_lines(comparison.conditions, comparison.commits)
    return [*lines, *_gaps(comparison), _sample(comparison), INTERVAL, EMPTY_MASKS, RANKING, *_declared(comparison)]


def conditions_lines(conditions: Conditions, commits: tuple[str, ...]) -> list[str]:
    """Budget, device and data in words."""
    threads = f"{conditions.threads} thread{'s' if conditions.threads != 1 else ''}"
    cuda = "" if conditions.cuda == "none" else f", CUDA {conditions.cuda}"
    commit = f"; commit {', '.join(one[:10] for one in commits)}" if commits else ""
    device = f"{conditions.device_model} ({conditions.device_type}, {threads}, {conditions.precision})"
    data = f"{conditions.dataset} v{conditions.dataset_version} (checksum {conditions.data_checksum[:10]})"
    images = f"training images {conditions.preprocessing}"
    return [
        f"Budget: {conditions.budget_amount:g} {conditions.budget_currency} a unit, all stages counted.",
        f"Device: {device}, torch {conditions.torch}{cuda}{commit}.",
        f"Data: {data}, {images}; protocol {conditions.protocol_version}.",
    ]


def _sample(comparison: Comparison) -> str:
    patients, cases = comparison.cases["patient"].nunique(), comparison.cases["case"].nunique()
    ok = comparison.units[comparison.units["status"] == "ok"]
    return (
        f"Test: n = {patients} patients ({cases} volumes); seeds {_numbers(ok['seed'])}; "
        f"labelled subsets {_numbers(ok['subset'])}."
    )


def _numbers(values: pd.Series[int]) -> str:
    return ", ".join(str(value) for value in sorted(set(values))) or "none"


def _gaps(comparison: Comparison) -> Iterator[str]:
    """Units without numbers in this table."""
    units = comparison.units
    missing, elsewhere = int((units["status"] == "missing").sum()), int((units["status"] == "elsewhere").sum())
    if missing:
        yield f"Unfinished: {missing} of {len(units)} units are missing; ranks and figures are provisional."
    if elsewhere:
        yield f"{elsewhere} of {len(units)} units ran under other conditions and stand in another table."
    for _, unit in units[units["status"] == "failed"].iterrows():
        labelled = "all" if pd.isna(unit["labelled"]) else unit["labelled"]
        where = f"{unit['method']} {labelled}-labelled subset {unit['subset']} seed {unit['seed']}"
        yield f"Failed: {where} ({unit['failure_kind']}: {unit['failure_reason']})."


def _declared(comparison: Comparison) -> Iterator[str]:
    for arm, settings in declared_engines(comparison.units).items():
        if settings:
            method, _, count = arm.rpartition("@")
            yield f"{method} ({count} labelled) declares engine settings of its own: {settings}."
