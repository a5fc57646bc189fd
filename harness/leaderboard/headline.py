"""The answer in sentences, no bolder than its statistics: of each table, and of a ladder's break-even."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from harness.leaderboard import numbers
from harness.leaderboard.break_even import find_baselines, leads_by_count
from harness.leaderboard.grids import Pairs, Row
from harness.leaderboard.inputs import Comparison, rows_of
from harness.leaderboard.results import spoilt
from harness.stats.break_even import NOT_DETERMINED, NOT_WITHIN, WITHIN
from harness.stats.families import NOT_SIGNIFICANT, SIGNIFICANT

if TYPE_CHECKING:
    from harness.leaderboard.leaderboard import Leaderboard

MOST_NAMES = 4
"""Of methods that do not decide what a sentence says; of more the last ones are counted."""


def verdicts(leaderboard: Leaderboard, comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Title and sentences of each table, the answer first, of the mean Dice of the last checkpoint."""
    answers = []
    counts = leaderboard.results.loc[leaderboard.results["table"] == comparison.number, "labelled"].unique()
    for labelled in (None if pd.isna(count) else int(count) for count in counts):
        frames = (rows_of(frame, comparison.number, labelled) for frame in (leaderboard.results, leaderboard.paired))
        results, paired = (frame[frame["checkpoint"] == "last"] for frame in frames)
        rows, pairs = results.to_dict("records"), paired[paired["metric"] == "dice"].to_dict("records")
        title = "References alone" if labelled is None else f"{labelled} labelled patients"
        baseline = best_baseline(comparison, labelled, results)
        answers.append((title, list(_sentences(rows, both_ways(pairs), baseline))))
    return answers


def break_even_answers(board: Leaderboard) -> list[tuple[str, list[str]]]:
    """Title and sentences of each ladder and labelled count, of the last checkpoint."""
    return [(f"Break-even, {title}", list(_break_even(leads))) for title, leads in leads_by_count(board.break_even)]


def _break_even(leads: pd.DataFrame) -> Iterator[str]:
    baselines = joined(list(leads["baseline"].unique()))
    entries = leads.drop_duplicates("entry")
    for rung, own in entries[entries["verdict"] == WITHIN].groupby("break_even"):
        be = "is" if len(own) == 1 else "are"
        yield f"From {rung} reference steps on {joined(list(own['entry']))} {be} significantly ahead of {baselines}."
    reasons = {
        NOT_WITHIN: "not significantly ahead, or with a failed or unfit run, on the longest rung with three seeds",
        NOT_DETERMINED: "no rung has three seeds of the entry and of each baseline, and patients enough for a verdict",
    }
    for verdict, reason in reasons.items():
        if names := list(entries.loc[entries["verdict"] == verdict, "entry"]):
            yield f"{verdict.capitalize()}: {joined(names)} ({reason})."


def best_baseline(comparison: Comparison, labelled: int | None, results: pd.DataFrame) -> str | None:
    """The labelled-only baseline with the highest mean among these rows, best first; None without one."""
    if labelled is None:
        return None
    names = {cell.rpartition("@")[0] for cell in find_baselines([comparison], labelled)}
    own = results[results["entry"].isin(names) & (results["n_ok"] > 0)]
    return None if own.empty else str(own["entry"].iloc[0])


def both_ways(pairs: Sequence[Row]) -> Pairs:
    """(first, second) -> first - second, for both orders of each pair."""
    table: dict[tuple[str, str], Row] = {}
    for pair in pairs:
        first, second = pair["entry_a"], pair["entry_b"]
        turned = {**pair, "difference": -pair["difference"]}
        for name in ("difference", "simultaneous"):
            turned[f"{name}_low"], turned[f"{name}_high"] = -pair[f"{name}_high"], -pair[f"{name}_low"]
        table |= {(first, second): pair, (second, first): turned}
    return table


def _sentences(rows: Sequence[Row], pairs: Pairs, baseline: str | None) -> Iterator[str]:
    ranked = [row for row in rows if row["block"] == "ranked" and row["n_ok"]]
    if not ranked:
        yield "No ranked method has finished a run yet."
    else:
        leader = ranked[0]
        comparable = [row for row in ranked[1:] if spoilt(row) == spoilt(leader)]
        lead = _lead(leader, comparable, pairs, all_of_them=len(comparable) == len(ranked) - 1)
        beside = _beside_baseline([row["entry"] for row in ranked if not spoilt(row)], pairs, baseline)
        yield f"{lead} {beside}".strip()
        yield from (_with_failures(row) for row in ranked if row not in comparable and row["dice"] > leader["dice"])
        yield from (_reference(row, leader, pairs) for row in rows if row["block"] == "reference" and row["n_ok"])
        yield _scope(ranked)
    waiting = sum(row["n_missing"] for row in rows)
    failed, unfit = (sum(row[name] for row in rows) for name in ("n_failed", "n_unfit"))
    if failed:
        yield f"{_runs(failed)} failed; a method with a failure is placed after all without."
    if unfit:
        yield f"{_runs(unfit)} left records that do not fit the others'; its method is placed after all without."
    if waiting:
        total = sum(row["n_runs"] for row in rows)
        yield f"Provisional: {waiting} of {_runs(total)} {'has' if waiting == 1 else 'have'} not run."


def _lead(leader: Row, others: Sequence[Row], pairs: Pairs, *, all_of_them: bool) -> str:
    """Which method leads, and over which others its lead is significant.

    others: ranked methods with failed or unfit runs like the leader's, or without. all_of_them: there are no more.
    """
    name, dice = leader["entry"], f"{numbers.percent(leader['dice'])} % Dice"
    readings = {row["entry"]: pairs.get((name, row["entry"]), {}).get("verdict") for row in others}
    behind = [method for method, verdict in readings.items() if verdict == SIGNIFICANT]
    close = [method for method, verdict in readings.items() if verdict == NOT_SIGNIFICANT]
    undetermined = [method for method in readings if method not in (*behind, *close)]
    if not others:
        alone = "no other ranked method has numbers to compare it with"
        failed = "runs of every other ranked method failed or do not fit"
        return f"{name} reaches {dice}; {alone if all_of_them else failed}."
    if len(behind) == len(others):
        nearest = pairs[name, behind[0]]
        whom = "every other ranked method" + ("" if all_of_them else " without a failure")
        return f"{name} is significantly ahead of {whom}: {dice}, {_difference(nearest)} above {behind[0]}."
    if others[0]["dice"] == leader["dice"]:
        equal = [row["entry"] for row in others if row["dice"] == leader["dice"]]
        return f"No method is ahead. {joined([name, *equal])} have the same highest mean ({dice})."
    if len(undetermined) == len(others):
        return f"{name} has the highest mean ({dice}), but with so few patients no difference can be significant."
    lead = f"{name} has the highest mean ({dice})"
    if behind and len(others) > MOST_NAMES:
        return f"{lead}, significantly above {len(behind)} of {len(others)} other ranked methods."
    lead = f"{lead}. Its lead over {_some(close + undetermined)} is not significant"
    return f"{lead}, its lead over {joined(behind)} is." if behind else f"No method is significantly ahead. {lead}."


def _beside_baseline(entries: Sequence[str], pairs: Pairs, baseline: str | None) -> str:
    """Which methods are significantly above labelled-only training, and which below; empty between two."""
    others = [entry for entry in entries if entry != baseline]
    if baseline is None or len(others) < 2:
        return ""
    if baseline == entries[0]:
        return "That is training on the labelled patients alone: no method is ahead of it."
    leads = {entry: pairs.get((entry, baseline), {}) for entry in others}
    decided = {entry: pair["difference"] > 0 for entry, pair in leads.items() if pair.get("verdict") == SIGNIFICANT}
    above, below = ([entry for entry, ahead in decided.items() if ahead is wanted] for wanted in (True, False))
    text = f"Significantly above {baseline}, the best labelled-only training: {joined(above) if above else 'none'}"
    return f"{text}; below: {joined(below)}." if below else f"{text}."


def _with_failures(row: Row) -> str:
    counts = ((row["n_failed"], "failed"), (row["n_unfit"], "left records that do not fit"))
    others = " and ".join(f"{count} of its runs {what}" for count, what in counts if count)
    return f"{row['entry']} reaches {numbers.percent(row['dice'])} % in {_runs(row['n_ok'])}, but {others}."


def _reference(row: Row, leader: Row, pairs: Pairs) -> str:
    pair = pairs.get((row["entry"], leader["entry"]))
    text = f"The reference {row['entry']} ({row['trained_on']} labels) reaches {numbers.percent(row['dice'])} %"
    if pair is None:
        return f"{text}."
    return f"{text}, {_difference(pair)} from {leader['entry']}: {pair['verdict']}."


def _scope(ranked: Sequence[Row]) -> str:
    seeds, subsets = (
        sorted({int(number) for row in ranked for number in str(row[name]).split()}) for name in ("seeds", "subsets")
    )
    return f"This holds for {_numbered('seed', seeds)} on {_numbered('labelled subset', subsets)}, not for others."


def _numbered(name: str, values: Sequence[int]) -> str:
    return f"{name}{'' if len(values) == 1 else 's'} {_listed(values)}"


def _listed(values: Sequence[int]) -> str:
    """All of them: "0, 1 and 2"; "0 to 9" where they are many and lack none between."""
    whole = len(values) > MOST_NAMES and values[-1] - values[0] == len(values) - 1
    return f"{values[0]} to {values[-1]}" if whole else joined([str(value) for value in values])


def _difference(pair: Row) -> str:
    """Percentage points with the simultaneous interval, or that of the pair alone where the other is undefined."""
    simultaneous = not pd.isna(pair["simultaneous_low"])
    ends = ("simultaneous_low", "simultaneous_high") if simultaneous else ("difference_low", "difference_high")
    limits = numbers.bounds(*(numbers.points(pair[end]) for end in ends))
    return f"{numbers.points(pair['difference'])} points {limits}".strip()


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def joined(names: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _some(names: Sequence[str]) -> str:
    few = len(names) <= MOST_NAMES
    return joined(names if few else [*names[: MOST_NAMES - 1], f"{len(names) - MOST_NAMES + 1} others"])
