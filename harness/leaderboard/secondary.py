"""The columns beside the primary interval: hierarchical interval, interquartile mean, Dice with failures as 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.leaderboard.patients import Estimate, Key
from harness.leaderboard.scores import Scores
from harness.stats.coverage import Components, components, pooled, simulated_coverage
from harness.stats.design import Design
from harness.stats.hierarchical import hierarchical_intervals
from harness.stats.iqm import iqm_interval

Row = dict[str, Any]

HIERARCHICAL = ("hierarchical_low", "hierarchical_high", "hierarchical_coverage")
IQM = ("iqm", "iqm_low", "iqm_high")
IMPUTED = ("dice_imputed", "dice_imputed_low", "dice_imputed_high")
_NAN = float("nan")


def hierarchical_columns(found: Mapping[Key, Scores]) -> dict[Key, Row]:
    """HIERARCHICAL of each (selection, arm, ...); NaN for a single unit.

    The coverage is simulated in each method's own design, with variances that are pooled over the methods of the same
    labelled count, selection and class.
    """
    designs: dict[Design, list[Key]] = {}
    for key, one in found.items():
        designs.setdefault(Design(len(one.complete), one.subsets), []).append(key)
    variances = _variances(found)
    rows: dict[Key, Row] = {}
    for design, keys in designs.items():
        bounds = hierarchical_intervals(np.stack([found[key].complete for key in keys]), design)
        for key, low, high in zip(keys, bounds.low.tolist(), bounds.high.tolist(), strict=True):
            coverage = _NAN if np.isnan(low) else simulated_coverage(design, variances[_group(key)])
            rows[key] = dict(zip(HIERARCHICAL, (low, high, coverage), strict=True))
    return rows


def _variances(found: Mapping[Key, Scores]) -> dict[Key, Components]:
    """Group of methods -> variances between patients, subsets and seeds."""
    groups: dict[Key, list[Components]] = {}
    for key, one in found.items():
        design = Design(len(one.complete), one.subsets)
        if design.defined:
            groups.setdefault(_group(key), []).append(components(one.complete, design))
    return {group: pooled(own).rounded() for group, own in groups.items()}


def _group(key: Key) -> Key:
    selection, arm, *by = key
    return selection, str(arm).rpartition("@")[2], *by


def iqm_columns(found: Mapping[Key, Scores]) -> dict[Key, Row]:
    """IQM of each (selection, arm)."""
    return {key: dict(zip(IQM, iqm_interval(one.complete), strict=True)) for key, one in found.items()}


def imputed_columns(dice: Estimate, n_ok: int, n_failed: int) -> Row:
    """IMPUTED: the Dice if every case of a failed unit had Dice 0, which scales every patient's mean alike."""
    if not n_ok + n_failed:
        return unknown(IMPUTED)
    if not n_ok:
        return dict.fromkeys(IMPUTED, 0.0)
    share = n_ok / (n_ok + n_failed)
    return dict(zip(IMPUTED, (share * dice.mean, share * dice.low, share * dice.high), strict=True))


def unknown(columns: tuple[str, ...]) -> Row:
    """NaN in each."""
    return dict.fromkeys(columns, _NAN)
