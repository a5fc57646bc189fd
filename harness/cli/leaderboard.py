"""`harness leaderboard`: the tables of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from harness.cli.options import data_option, panels_option, runs_option, suite_option


@click.command()
@suite_option
@data_option
@runs_option
@panels_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown"]),
    default="text",
    show_default=True,
    help="What is printed; csv, markdown, figure and page are written beside the records each time.",
)
def command(
    suite: str, data: Path | None, runs: Path, panels: bool | None, form: Literal["text", "csv", "markdown"]
) -> None:
    """Compute the tables of a suite from its per-case records, write them into RUNS/<suite>/leaderboard, print them.

    Needs no data and no weights: the same records give the same tables, byte for byte. Beside them it writes
    index.html, a page with everything in it; given the data, with pictures of the worst test cases.
    """
    from harness.cli.report import data_of, show_leaderboard
    from harness.suite.recorded import open_records

    store = open_records(suite, runs)
    wanted = data is not None if panels is None else panels
    show_leaderboard(store, form, data_of(store, data) if wanted else None)
