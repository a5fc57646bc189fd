"""What others made beside what was made here: `harness score`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import PATH, data_option, runs_option
from harness.cli.tables import Line, Printed, print_table

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

    DIR holds CASE.nii.gz (or .nii, or .npy in the axes of the case) for each test case, with the number of the class in
    each voxel, on the scan's own grid. Boards of suites on the same data in RUNS then show a row without a budget,
    apart from the ranked ones. Each call is a use of the test split: RUNS/scored/DATASET/uses.jsonl keeps it with a
    running number, in which final runs count too.
    """
    from harness.pipeline import score_predictions

    rows = score_predictions(predictions, dataset=dataset, name=name, note=note, data=data, runs=runs)
    print_table(*score_table(rows))
    log.info("boards on this data show it: harness leaderboard %s/SUITE", runs)


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
