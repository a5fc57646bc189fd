"""What others made beside what was made here: `harness score`, `compare`, `collect`."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import PATH, data_option, runs_option
from harness.cli.tables import Line, Printed, print_table
from harness.records.cases import FRACTIONS, METRICS

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@click.command("score")
@click.option("--predictions", type=PATH, required=True, metavar="DIR", help="A label map for each test case.")
@click.option("--dataset", required=True, help="As suites name it; `harness list` shows all.")
@click.option("--name", required=True, help="What its row is called.")
@click.option("--note", default="", help="What made it, on which labels, for how long: shown beside the name.")
@data_option
@runs_option
def score_command(predictions: Path, dataset: str, name: str, note: str, data: Path | None, runs: Path) -> None:
    """Score the label maps in DIR with our metrics on a dataset's test split.

    DIR holds CASE.nii.gz (or .nrrd, .mha, or .npy in the axes of the case) for each test case, with the number of the
    class in each voxel, on the scan's own grid. Boards of suites on the same data in RUNS then show a row without a
    budget, apart from the ranked ones. Each call is a use of the test split: RUNS/scored/DATASET/uses.jsonl keeps it
    with a running number, in which final runs count too.
    """
    from harness.pipeline import score_predictions

    rows = score_predictions(predictions, dataset=dataset, name=name, note=note, data=data, runs=runs)
    print_table(*score_table(rows))
    log.info("boards on this data show it: harness leaderboard %s/SUITE", shlex.quote(str(runs)))


def score_table(rows: pd.DataFrame) -> Printed:
    """A line per class and one for all: means over patients, as boards have them."""
    from harness.leaderboard.grids import formatter, title

    metrics = [metric for metric in ("dice", "nsd_voxel", "hd95_voxel", "hd95_mm") if rows[metric].notna().all()]
    parts = {**{str(name): own for name, own in rows.groupby("class_name", sort=False)}, "all": rows}
    lines: list[Line] = []
    for name, own in parts.items():
        means = own.groupby("patient")[metrics].mean().mean()
        missed = f"{int(own['missed'].sum())} of {len(own)}"
        lines.append((name, *(formatter(metric)(means[metric]) for metric in metrics), missed))
    return ("class", *map(title, metrics), "missed"), lines, "l" + "r" * (len(metrics) + 1)


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--metric", type=click.Choice(METRICS), default="dice", help="Mean over classes.")
@click.option(
    "--checkpoint", type=click.Choice(["last", "best_val"]), default="last", help="Whose weights were tested."
)
@click.option("--format", "form", type=click.Choice(["text", "csv"]), default="text", help="csv has every column.")
def compare_command(a: str, b: str, metric: str, checkpoint: str, form: str) -> None:
    """Show the cells whose scores differ between A and B, paired over test patients, B less A.

    Each is a suite's folder (runs/acdc_mini), an export (records.tar.xz), a folder with one export in it, or
    REVISION:FILE, an export in a git revision. Runs of equal subset and seed are paired; the intervals hold for all
    differing cells at once, for the subsets and seeds that ran.
    """
    from harness.leaderboard.compare import compare_boards
    from harness.leaderboard.inputs import read_input
    from harness.leaderboard.sources import opened
    from harness.records.untrusted_text import csv_text

    with opened(a) as ours, opened(b) as theirs:
        difference = compare_boards(read_input(ours), read_input(theirs), (a, b), metric, checkpoint)
    if form == "csv":
        click.echo(csv_text(difference.differing), nl=False)
    elif not difference.differing.empty:
        print_table(*difference_table(difference.differing, metric))
    for first, second in difference.conditions:
        log.info("conditions differ: A has %s; B has %s", first, second)
    if unpaired := int((difference.differing["runs_paired"] == 0).sum()):
        log.info("cells without a common subset and seed, compared by all their runs: %d", unpaired)
    for name, keys in (("A", difference.only_a), ("B", difference.only_b)):
        if keys:
            log.info("in %s alone: %s", name, ", ".join(key.cell for key in keys))
    log.info("cells that differ: %d; equal in every score: %d", len(difference.differing), len(difference.equal))


def difference_table(rows: pd.DataFrame, metric: str) -> Printed:
    """A line per cell: means of A and B, the difference with its interval, and whether it is significant."""
    from harness.leaderboard import numbers
    from harness.leaderboard.grids import formatter, title

    value, gap = formatter(metric), numbers.points if metric in FRACTIONS else "{:+.2f}".format
    lines: list[Line] = [
        (
            f"{row['entry']}, {row['labelled']} labelled" + (f", {row['rung']} steps" if row["rung"] else ""),
            f"{row['runs_paired']} of {row['runs_a']} and {row['runs_b']}",
            *(value(row["a"]), value(row["b"])),
            f"{gap(row['difference'])} {numbers.bounds(gap(row['simultaneous_low']), gap(row['simultaneous_high']))}",
            *(numbers.probability(row["p_holm"]), str(row["verdict"])),
        )
        for row in rows.to_dict("records")
    ]
    return (title(metric), "runs paired", "A", "B", "B - A", "p (Holm)", "verdict"), lines, "lrrrrrl"


@click.command("collect")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=".")
@click.option("--to", "file", type=PATH, metavar="FILE", help="A markdown file for the tables; a csv goes beside it.")
def collect_command(folder: Path, file: Path | None) -> None:
    """Verify, audit and rank the exports of several contributors in FOLDER, say a clone of a results repository.

    Cells that ran under equal conditions share a table. Equal runs of several contributors are one row; where their
    scores differ, as on another model of processor, both are shown and named. A damaged export ends with 65 and a
    broken rule with 76, after everything else was done: such exports are in no table.
    """
    from harness.api.errors import AuditError, RecordError
    from harness.records.files import write_text
    from harness.records.untrusted_text import csv_text
    from harness.report.collection import collect

    collection = collect(folder)
    if file is None:
        click.echo(collection.markdown(), nl=False)
    else:
        write_text(file, collection.markdown())
        write_text(file.with_suffix(".csv"), csv_text(collection.ranking))
        log.info("%s and %s", file, file.with_suffix(".csv"))
    for line in collection.twins:
        log.warning(line)
    flaws = [f"{each.name}: {each.flaw}" for each in collection.contributions if each.flaw]
    broken = [each for each in collection.contributions if each.broken_rules]
    unfair = [f"{each.name}: not held: {'; '.join(each.broken_rules)}" for each in broken]
    if flaws:
        raise RecordError("\n".join(flaws + unfair))
    if unfair:
        raise AuditError("\n".join(unfair))
