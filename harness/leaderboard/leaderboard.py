"""All tables of one suite, computed once from its records, rendered many times, and written as files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from harness.api.errors import UsageError
from harness.leaderboard.break_even import build_break_even
from harness.leaderboard.figure import draw_curves
from harness.leaderboard.inputs import LeaderboardInput, read_input
from harness.leaderboard.ladder_figure import draw_ladder, has_ladder
from harness.leaderboard.long_form import build_curves, build_per_class, build_profiles
from harness.leaderboard.notes import MINI
from harness.leaderboard.paired import build_paired
from harness.leaderboard.render import markdown
from harness.leaderboard.results import build_results, with_class_ranks, with_ranks
from harness.leaderboard.scored import build_scored
from harness.leaderboard.summary import summary_text
from harness.records.files import write_atomic, write_text
from harness.records.reader import SuiteRecords, delete
from harness.records.untrusted_text import csv_text

NOT_ALWAYS = ("break_even.csv", "search.csv", "scored.csv", "ladder.svg")
"""Files that some leaderboards have."""


@dataclass(frozen=True)
class Leaderboard:
    """What a suite's records say, as pandas frames. Each frame is also a csv file in RUNS/<suite>/leaderboard.

    Dice and Jaccard are fractions, distances name voxel or mm in the column, times are seconds.

    Attributes:
        inputs: The records that everything was computed from, run by run and case by case.
        results: One row per table, labelled count, checkpoint rule and method. Columns: `results.build_results`.
        per_class: One row per method, class and metric. Columns: `long_form.CLASSES`.
        paired: One row per pair of methods and metric. Columns: `paired.COLUMNS`.
        paired_per_class: The columns of `paired`, class by class, for Dice alone.
        curves: One row per method and validation: Dice against the budget. Columns: `long_form.CURVES`.
        profiles: One row per method and Dice threshold: share of scores above it. Columns: `long_form.PROFILES`.
        break_even: One row per entry, rung and labelled-only baseline. Columns: `break_even.COLUMNS`.
        scored: One row per set of label maps from elsewhere that was scored on the same test split. Columns:
            `scored.COLUMNS`.
    """

    inputs: LeaderboardInput
    results: pd.DataFrame
    per_class: pd.DataFrame
    paired: pd.DataFrame
    paired_per_class: pd.DataFrame
    curves: pd.DataFrame
    profiles: pd.DataFrame
    break_even: pd.DataFrame
    scored: pd.DataFrame

    @property
    def suite(self) -> str:
        return self.inputs.suite

    @property
    def folder(self) -> Path:
        return self.inputs.comparisons[0].records.root

    @property
    def search(self) -> pd.DataFrame | None:
        """The trials of the search, columns as in `rows.SEARCH_COLUMNS`; None where nothing was searched."""
        return None if self.inputs.search.empty else self.inputs.search

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Name of each csv file, without suffix, and the frame in it."""
        optional = {"break_even": self.break_even, "search": self.inputs.search, "scored": self.scored}
        return {
            "leaderboard": self.results,
            "paired": self.paired,
            "paired_per_class": self.paired_per_class,
            "per_class": self.per_class,
            "profiles": self.profiles,
            "curves": self.curves,
            **{name: frame for name, frame in optional.items() if not frame.empty},
        }

    def at_rung(self, rung: int) -> Leaderboard:
        """Keep the tables of one rung of the suite's ladder, without break-even.

        Args:
            rung: In reference steps.

        Returns:
            A leaderboard whose tables keep their numbers.

        Raises:
            UsageError: The suite has no such rung, or nothing has run on it yet.
        """
        kept = tuple(each for each in self.inputs.comparisons if each.rung == rung and each.conditions is not None)
        if not kept:
            there = (
                f"its rungs are {', '.join(map(str, self.inputs.ladder))}" if self.inputs.ladder else "it has no ladder"
            )
            why = "has not run yet" if rung in self.inputs.ladder else "is none of the suite's"
            raise UsageError(f"{self.suite}: --rung: {rung} {why}; {there}")
        numbers = [each.number for each in kept]
        frames = {
            name: frame[frame["table"].isin(numbers)]
            for name, frame in vars(self).items()
            if isinstance(frame, pd.DataFrame) and "table" in frame
        }
        inputs = replace(self.inputs, comparisons=kept, ladder=(rung,))
        return replace(self, inputs=inputs, break_even=self.break_even.iloc[:0], **frames)

    def __str__(self) -> str:
        """The answer and a table per labelled count as plain text, 80 columns wide."""
        return summary_text(self)


def build_leaderboard(records: SuiteRecords) -> Leaderboard:
    """Compute every table of a suite from its records. Runs that have not ended are shown as missing.

    Raises `UsageError` where one method was run in two versions, `RecordError`.
    """
    inputs = read_input(records)
    results = build_results(inputs)
    paired, paired_per_class = build_paired(inputs, results), build_paired(inputs, results, per_class=True)
    return Leaderboard(
        inputs=inputs,
        results=with_ranks(results, paired),
        per_class=with_class_ranks(build_per_class(inputs), results, paired_per_class),
        paired=paired,
        paired_per_class=paired_per_class,
        curves=build_curves(inputs),
        profiles=build_profiles(inputs),
        break_even=build_break_even(inputs, results),
        scored=build_scored(inputs),
    )


def write_leaderboard(leaderboard: Leaderboard, folder: Path) -> tuple[Path, ...]:
    """Write csv, markdown and pictures into a folder, and return their paths; the same records give the same bytes.

    Raises `DiskError`.
    """
    csv_files = {folder / f"{name}.csv": frame for name, frame in leaderboard.tables.items()}
    for path, frame in csv_files.items():
        write_text(path, csv_text(frame))
    write_text(folder / "leaderboard.md", markdown(leaderboard))
    title = f"{leaderboard.suite} ({MINI})" if leaderboard.suite.endswith("_mini") else leaderboard.suite
    write_atomic(folder / "curves.png", lambda path: draw_curves(leaderboard.curves, title, path))
    pictures = [folder / "curves.png"]
    if has_ladder(leaderboard.inputs):
        pictures.append(folder / "ladder.svg")
        write_atomic(pictures[-1], lambda path: draw_ladder(leaderboard.inputs, leaderboard.results, path))
    written = (*csv_files, folder / "leaderboard.md", *pictures)
    delete({folder / name for name in NOT_ALWAYS}.difference(written))  # of an earlier version of the suite
    return written
