"""What papers print, where they picked the checkpoint, and what was measured here beside it.

python -m harness.report.claims prints the tables of docs/explanation/claims.md, which shows them where it is built.
"""

import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from statistics import median

import numpy as np

from harness.leaderboard import numbers
from harness.leaderboard.inputs import Comparison, rows_of
from harness.leaderboard.leaderboard import Leaderboard
from harness.leaderboard.scores import MEAN_CLASS
from harness.records.untrusted_text import markdown_table
from harness.stats.agreement import rank_agreement
from harness.stats.bootstrap import Floats, intervals

PUBLISHED = Path(__file__).resolve().parents[2] / "benchmarks" / "published"

DATASETS = {"acdc": "acdc", "la": "la", "la_8020": "la"}
"""Our datasets with the published test list, and what the published numbers call them."""

NOT_MEASURED = "not measured"
SAME_CHECKPOINT = "0, the last was best"
LEAST_METHODS = 3
"""Two are in order or not; that is no coefficient."""

GAINS = """## What the choice alone is worth

From the logs and tables that the authors released: the best look at the reported list, the last checkpoint of the same
training, and what lies between.
"""


@dataclass(frozen=True)
class Claim:
    """A mean test Dice in percent, as printed.

    entry:         what the method is called here; empty where it is not here.
    picked_source: who says where the checkpoint was picked; empty where `source` does, or nobody.
    """

    dataset: str
    labelled: int
    method: str
    entry: str
    dice: str
    picked: str
    source: str
    picked_source: str

    @property
    def sources(self) -> str:
        """Of the Dice and of the choice."""
        return f"{self.source}; picked: {self.picked_source}" if self.picked_source else self.source


@dataclass(frozen=True)
class Gain:
    """Dice in percent of one training at the best look and at the last one, as its authors released it."""

    method: str
    dataset: str
    labelled: int
    best: str
    last: str
    source: str

    @property
    def gain(self) -> str:
        return f"{float(self.best) - float(self.last):+.2f}"


@dataclass(frozen=True)
class Row:
    """An entry of a suite beside what is published of its method.

    last:           our mean test Dice of the last checkpoint, in percent.
    best_less_last: points by which the checkpoint of the best validation has more on the same patients, with interval.
    """

    entry: str
    published: tuple[Claim, ...]
    last: str
    best_less_last: str


@dataclass(frozen=True)
class Table:
    """One labelled count under one budget.

    agreement: a sentence on the published order of the methods and ours; empty below three methods.
    """

    title: str
    rows: tuple[Row, ...]
    agreement: str


def read_claims() -> list[Claim]:
    """Everything published that is known here, in the order of its file."""
    return [Claim(labelled=int(row.pop("labelled")), **row) for row in _rows("dice.csv")]


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (PUBLISHED / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def claims_beside(leaderboard: Leaderboard, dataset: str) -> list[Table]:
    """A table per board and labelled count: entries named as methods with published numbers."""
    published = [claim for claim in read_claims() if claim.dataset == DATASETS.get(dataset)]
    tables = []
    for comparison in leaderboard.inputs.comparisons:
        for labelled in comparison.labelled_counts:
            listed = rows_of(comparison.listing, comparison.number, labelled)
            scores = {
                entry: (_by_patient(comparison, cell, "last"), _by_patient(comparison, cell, "best_val"))
                for cell, entry in zip(listed["cell"], listed["entry"], strict=True)
            }
            rows = [
                Row(entry, own, *_measured(*scores[entry]))
                for entry in listed["entry"]
                if (own := tuple(claim for claim in published if (claim.entry, claim.labelled) == (entry, labelled)))
            ]
            if rows:
                title = f"{labelled} labelled patients{_budget(comparison)}"
                tables.append(
                    Table(title, tuple(rows), _agreement(rows, {name: last for name, (last, _) in scores.items()}))
                )
    return tables


def _budget(comparison: Comparison) -> str:
    shared = comparison.conditions
    return "" if shared is None else f"; ours at {shared.budget}, training images {shared.preprocessing}"


def _by_patient(comparison: Comparison, cell: object, checkpoint: str) -> Floats:
    """Test Dice of each patient, mean over runs and classes; empty where nothing was tested."""
    scores = comparison.scores.get(("dice", checkpoint, cell, MEAN_CLASS))
    return scores.complete.mean(axis=1) if scores is not None and len(scores.complete) else np.empty(0)


def _measured(last: Floats, best: Floats) -> tuple[str, str]:
    if not len(last):
        return NOT_MEASURED, NOT_MEASURED
    if len(best) != len(last):
        return numbers.percent(last.mean()), NOT_MEASURED
    if not (best - last).any():
        return numbers.percent(last.mean()), SAME_CHECKPOINT
    mean, low, high, _ = (float(column[0]) for column in intervals((best - last)[:, None]))
    between = "" if math.isnan(low) or math.isnan(high) else f" ({numbers.points(low)} to {numbers.points(high)})"
    return numbers.percent(last.mean()), numbers.points(mean) + between


def _agreement(rows: Sequence[Row], last: Mapping[str, Floats]) -> str:
    """Kendall's tau of the methods' printed Dice, the median where there are several, and ours."""
    measured = [row for row in rows if len(last[row.entry])]
    if len(measured) < LEAST_METHODS:
        return ""
    printed = np.array([median(float(claim.dice) for claim in row.published) for row in measured])
    tau, low, high = rank_agreement(printed, np.column_stack([last[row.entry] for row in measured]))
    return (
        f"Order of these {len(measured)} methods as printed (the median of several numbers) against ours: Kendall's "
        f"tau {tau:.2f}, 95 % interval over our patients {low:.2f} to {high:.2f} (1: the same order, 0: unrelated)."
    )


def document() -> str:
    """All tables of what is published, as markdown."""
    parts = []
    names = {"acdc": "ACDC", "la": "Left atrium"}
    for (dataset, labelled), group in groupby(
        sorted(read_claims(), key=attrgetter("dataset", "labelled")), key=attrgetter("dataset", "labelled")
    ):
        lines = [(claim.method, claim.dice, claim.picked, claim.sources) for claim in group]
        parts.append(f"## {names[dataset]}, {labelled} labelled\n")
        parts.append(markdown_table([("method", "Dice %", "picked", "source"), *lines], "llll") + "\n")
    known = [Gain(labelled=int(row.pop("labelled")), **row) for row in _rows("selection_gains.csv")]
    gains = [(g.method, g.dataset, str(g.labelled), g.best, g.last, g.gain, g.source) for g in known]
    headers = ("method", "data", "labelled", "best", "last", "gain", "source")
    parts += [GAINS, markdown_table([headers, *gains], "lllllll") + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(document())
