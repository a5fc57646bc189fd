"""From which rung of a ladder on an entry is significantly ahead of training on the labelled patients alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from harness.leaderboard.conditions import Conditions
from harness.leaderboard.inputs import Comparison, LeaderboardInput, labelled_counts, rows_of
from harness.leaderboard.paired import pair_differences, pair_wins
from harness.leaderboard.rows import NO_RUNG, ended_runs
from harness.leaderboard.scores import MEAN_CLASS
from harness.stats.break_even import LEAST_SEEDS, break_even
from harness.stats.families import UNDETERMINED, Reading, read_family

COLUMNS = (
    "suite", "ladder", "labelled", "checkpoint", "entry", "break_even", "verdict", "baseline", "rung", "difference",
    "simultaneous_low", "simultaneous_high", "p_holm", "n_patients", "ahead",
)  # fmt: skip
"""
ladder:      from 1; tables that differ in the budget alone are one ladder.
break_even:  the entry's, in reference steps; empty where `verdict` says that there is none or that it is not known.
difference:  Dice of the entry less that of the baseline on this rung, mean over patients, a fraction; empty where
             either has fewer than three seeds with numbers.
simultaneous_low, _high, p_holm: over all pairs of ranked methods on all rungs of the ladder at once.
ahead:       whether the difference is significant and no run of the entry failed or is unfit; empty where not known.
"""

Ladder = Sequence[Comparison]
Readings = Mapping[tuple[int, str, str], Reading]
"""(rung, first cell, second cell) -> the reading of first - second."""


def build_break_even(inputs: LeaderboardInput, results: pd.DataFrame) -> pd.DataFrame:
    """One row per entry, rung and labelled-only baseline, in `COLUMNS`; none where there is no ladder.

    The baselines are the ranked entries that train on labelled images alone. They have no rows of their own.
    """
    rows = [
        {"suite": inputs.suite, "ladder": number, "labelled": labelled, "checkpoint": checkpoint, **row}
        for number, ladder in enumerate(ladders(inputs), start=1)
        for labelled in labelled_counts(ladder)
        for checkpoint in dict.fromkeys(name for each in ladder for name in each.checkpoints)
        for row in _rows(ladder, inputs.ladder, labelled, _readings(ladder, results, labelled, checkpoint))
    ]
    integers = dict.fromkeys(("ladder", "labelled", "break_even", "rung", "n_patients"), "Int64")
    floats = dict.fromkeys(("difference", "simultaneous_low", "simultaneous_high", "p_holm"), "float64")
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({**integers, **floats, "ahead": "boolean"})


def ladders(inputs: LeaderboardInput) -> list[list[Comparison]]:
    """The comparisons that differ in nothing but the rung, by ladder."""
    groups: dict[Conditions, list[Comparison]] = {}
    for comparison in inputs.comparisons:
        if comparison.rung != NO_RUNG and comparison.conditions is not None:
            groups.setdefault(replace(comparison.conditions, budget_amount=0.0), []).append(comparison)
    return list(groups.values())


def leads_by_count(leads: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Title and rows of each ladder and labelled count, of the last checkpoint."""
    last = leads[leads["checkpoint"] == "last"]
    several = last["ladder"].nunique() > 1
    for (ladder, labelled), own in last.groupby(["ladder", "labelled"]):
        yield f"{labelled} labelled patients" + (f", ladder {ladder}" if several else ""), own


def find_baselines(ladder: Ladder, labelled: int) -> list[str]:
    """Ranked cells planned as labelled-only baselines, and those whose runs saw labelled images alone."""
    runs = pd.concat([comparison.runs for comparison in ladder])
    ranked = runs[~runs["reference"] & (runs["labelled"] == labelled)]
    return [str(cell) for cell, own in ranked.groupby("cell", sort=False) if own["baseline"].all() or _alone(own)]


def _alone(runs: pd.DataFrame) -> bool:
    ok = runs[runs["status"] == "ok"]
    return bool(len(ok) and ((ok["images_seen"] > 0) & (ok["images_seen"] == ok["labelled_images_seen"])).all())


def _readings(ladder: Ladder, results: pd.DataFrame, labelled: int, checkpoint: str) -> Readings:
    """All pairs of ranked methods with enough seeds, on all rungs, as one family; patients by name."""
    keys: list[tuple[int, str, str]] = []
    differences, wins = [], []
    for comparison in ladder:
        own = rows_of(results, comparison.number, labelled)
        enough = np.array([len(seeds.split()) >= LEAST_SEEDS for seeds in own["seeds"]], bool)
        own = own[(own["checkpoint"] == checkpoint) & (own["block"] == "ranked") & enough]
        if pairs := pair_differences(comparison, own, [MEAN_CLASS], ["dice"]):
            patients = comparison.tested["patient"].unique()
            keys += [(comparison.rung, pair.first, pair.second) for pair in pairs]
            differences.append(pd.DataFrame(np.stack(list(pairs.values()), axis=1), patients))
            wins.append(pd.DataFrame(pair_wins(list(pairs), comparison.scores), patients))
    if not keys:
        return {}
    columns, shares = (pd.concat(parts, axis=1).to_numpy() for parts in (differences, wins))
    return dict(zip(keys, read_family(columns, shares), strict=True))


def _rows(ladder: Ladder, rungs: Sequence[int], labelled: int, readings: Readings) -> Iterator[dict[str, Any]]:
    """The fields from `entry` on, of every entry that is no baseline, against each that is."""
    baselines = find_baselines(ladder, labelled)
    by_rung = {comparison.rung: comparison for comparison in ladder}
    listed = pd.concat([comparison.listing for comparison in ladder])
    ranked = listed[(listed["labelled"] == labelled) & (listed["block"] == "ranked")]
    for cell in dict.fromkeys(ranked["cell"]):
        if cell in baselines or not baselines:
            continue
        pairs: list[dict[str, Any]] = [
            {"baseline": baseline.rpartition("@")[0], "rung": rung}
            | _compared(by_rung.get(rung), cell, baseline, _reading(readings, rung, cell, baseline))
            for rung in rungs
            for baseline in baselines
        ]
        ahead = {rung: _of_all([pair["ahead"] for pair in pairs if pair["rung"] == rung]) for rung in rungs}
        smallest, verdict = break_even(ahead)
        yield from ({"entry": cell.rpartition("@")[0], "break_even": smallest, "verdict": verdict, **p} for p in pairs)


def _of_all(ahead: Sequence[bool | None]) -> bool | None:
    return None if None in ahead else all(ahead)


def _reading(readings: Readings, rung: int, cell: str, baseline: str) -> Reading | None:
    """That of cell - baseline, whichever way round it is."""
    if (turned := readings.get((rung, baseline, cell))) is None:
        return readings.get((rung, cell, baseline))
    return turned._replace(
        difference=-turned.difference,
        simultaneous_low=-turned.simultaneous_high,
        simultaneous_high=-turned.simultaneous_low,
    )


def _compared(comparison: Comparison | None, cell: str, baseline: str, reading: Reading | None) -> dict[str, Any]:
    """The fields from `difference` on. comparison: of the rung, if anything ran on it."""
    known = {} if reading is None else reading._asdict()
    fields = {name: known.get(name) for name in COLUMNS[COLUMNS.index("difference") : -1]}
    return {**fields, "ahead": None if comparison is None else _ahead(comparison, cell, baseline, reading)}


def _ahead(comparison: Comparison, cell: str, baseline: str, reading: Reading | None) -> bool | None:
    own, other = (ended_runs(comparison.runs_of(name)) for name in (cell, baseline))
    if own["seed"].nunique() < LEAST_SEEDS or other.loc[other["status"] == "ok", "seed"].nunique() < LEAST_SEEDS:
        return None
    if (own["status"] != "ok").any():
        return False
    if reading is None or reading.verdict == UNDETERMINED:
        return None
    return reading.significant and reading.difference > 0.0
