"""The rungs of a ladder side by side: what its picture is drawn from, and each entry's break-even in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from harness.leaderboard.break_even import find_baselines, ladders
from harness.leaderboard.leaderboard import Leaderboard
from harness.report.columns import Json, columns
from harness.report.headline import joined
from harness.stats.break_even import NOT_DETERMINED, NOT_WITHIN, WITHIN


def ladder_content(board: Leaderboard) -> Json | None:
    """A picture per ladder and labelled count, and all leads over the baselines; None without a ladder."""
    pictures = [
        {
            "ladder": number,
            "labelled": labelled,
            "title": f"{labelled} labelled patients",
            "tables": [comparison.number for comparison in ladder],
            "rungs": [comparison.rung for comparison in ladder],
            "baselines": [cell.rpartition("@")[0] for cell in find_baselines(ladder, labelled)],
        }
        for number, ladder in enumerate(ladders(board.inputs), start=1)
        for labelled in sorted({count for each in ladder for count in each.labelled_counts if count is not None})
    ]
    return {"pictures": pictures, "leads": columns(board.break_even)} if pictures else None


def break_even_answers(board: Leaderboard) -> list[tuple[str, list[str]]]:
    """Title and sentences of each ladder and labelled count, of the last checkpoint."""
    last = board.break_even[board.break_even["checkpoint"] == "last"]
    several = last["ladder"].nunique() > 1
    return [
        (f"Break-even, {labelled} labelled patients{f', ladder {ladder}' if several else ''}", list(_sentences(leads)))
        for (ladder, labelled), leads in last.groupby(["ladder", "labelled"])
    ]


def _sentences(leads: pd.DataFrame) -> Iterator[str]:
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
