"""Test Dice against the rungs of a ladder as a picture: labelled-only baselines as bands, methods as lines.

python -m harness.leaderboard.ladder_figure RUNS/<suite> FILE [ENTRY ...] draws it in the format of FILE: .svg, .png or
.webp; entries that are named have colours and intervals, the others are thin grey lines.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.leaderboard.break_even import find_baselines, ladders
from harness.leaderboard.figure import Style, label_ends, palette_places, set_plain, style_of
from harness.leaderboard.inputs import Comparison, LeaderboardInput, read_input
from harness.leaderboard.results import build_results
from harness.records.reader import SuiteRecords

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHIFT = 0.012
"""Between the intervals of two methods on a rung, as a share of it, so that they do not hide each other."""

MOST = 8
"""Entries in colour unless some are named: the best of the longest rung. More colours are hard to tell apart."""

OTHERS: Style = ("#a8a8a8", "-")


def has_ladder(inputs: LeaderboardInput) -> bool:
    """Whether two rungs ran under equal conditions: of one the tables say all."""
    return any(len(ladder) > 1 for ladder in ladders(inputs))


def draw_ladder(
    inputs: LeaderboardInput, results: pd.DataFrame, path: Path, form: str = "svg", shown: Collection[str] = ()
) -> None:
    """Draw a panel per ladder and labelled count, reference steps against test Dice of the last checkpoint.

    Intervals are those of the tables. Labelled-only baselines are bands, references grey. Entries that ran on one rung
    alone are left to the tables; those that are not shown are thin and have no interval.

    shown: entries in colour; empty: the best `MOST` of a longest rung.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    last = results[(results["checkpoint"] == "last") & results["dice"].notna()]
    last = last[last.groupby(["entry", "labelled"])["rung"].transform("nunique") > 1]
    panels = [
        (ladder, int(count))
        for ladder in ladders(inputs)
        if len(ladder) > 1
        for count in sorted(last.loc[last["table"].isin(_numbers(ladder)), "labelled"].dropna().unique())
    ]
    baselines = {cell.rpartition("@")[0] for ladder, count in panels for cell in find_baselines(ladder, count)}
    best = last.sort_values(["rung", "dice"], ascending=False)["entry"].unique()[:MOST]
    coloured = last[last["entry"].isin({*(shown or best), *baselines})]
    styles = {name: style_of(place) for name, place in palette_places(coloured).items()}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ladder"}):
        figure = Figure(figsize=(6.4 * max(1, len(panels)), 4.4), layout="constrained")
        axes = figure.subplots(1, max(1, len(panels)), sharey=True, squeeze=False)[0]
        for axis, (ladder, count) in zip(axes, panels, strict=False):
            own = last[last["table"].isin(_numbers(ladder)) & (last["labelled"] == count)]
            _panel(axis, own, styles, baselines)
            axis.set_title(f"{inputs.suite}, {count} labelled patients", fontsize=10.5, loc="left", color="#222222")
        axes[0].set_ylabel("test Dice (%), mean over classes", fontsize=9.5)
        options: dict[str, dict[str, Any]] = {
            "svg": {"metadata": {"Date": None, "Creator": None}},
            "webp": {"pil_kwargs": {"quality": 40, "method": 6}},
        }
        figure.savefig(path, format=form, dpi=96, **options.get(form, {}))


def _numbers(ladder: Sequence[Comparison]) -> list[int]:
    return [comparison.number for comparison in ladder]


def _panel(axis: Axes, rows: pd.DataFrame, styles: dict[str, Style], baselines: set[str]) -> None:
    rungs = sorted(rows["rung"].unique())
    axis.set_xscale("log")
    ends = []
    places = {name: place for place, name in enumerate(styles)}
    for name, line in rows.sort_values("rung").groupby("entry", sort=False):
        entry, (colour, dashes) = str(name), styles.get(str(name), OTHERS)
        at = line["rung"].to_numpy(float)
        dice, low, high = (100.0 * line[column].to_numpy() for column in ("dice", "dice_low", "dice_high"))
        if entry in baselines:
            axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
            axis.plot(at, dice, color=colour, linestyle=dashes, linewidth=1.8)
        elif entry not in styles:
            axis.plot(at, dice, color=colour, linestyle=dashes, linewidth=0.9, zorder=1)
        else:
            at = at * (1.0 + SHIFT * (places[entry] - 0.5 * len(places)))
            look: dict[str, Any] = {"color": colour, "linestyle": dashes, "marker": "o", "markersize": 3.6}
            axis.errorbar(at, dice, (dice - low, high - dice), elinewidth=0.9, capsize=2.0, linewidth=1.8, **look)
        ends.append((entry, colour, float(at[-1]), float(dice[-1])))
    axis.set_xticks(rungs, [f"{rung:,}" for rung in rungs])
    axis.set_xticks([], minor=True)
    axis.set_xlabel("budget of a run, in reference steps", fontsize=9.5)
    set_plain(axis)
    label_ends(axis, ends)


if __name__ == "__main__":
    records, picture = map(Path, sys.argv[1:3])
    read = read_input(SuiteRecords.open(records))
    frame = build_results(read)
    if unknown := sorted(set(sys.argv[3:]) - set(frame["entry"])):
        sys.exit(
            f"error: no entry of {records} is named {', '.join(unknown)}; it has {', '.join(frame['entry'].unique())}"
        )
    draw_ladder(read, frame, picture, picture.suffix[1:], sys.argv[3:])
