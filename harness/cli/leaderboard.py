"""`harness leaderboard`: the tables of a suite."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from harness.cli.options import runs_option, suite_option


@click.command()
@suite_option
@runs_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown"]),
    default="text",
    show_default=True,
    help="What is printed; csv, markdown and the figure are written beside the records each time.",
)
def command(suite: str, runs: Path, form: Literal["text", "csv", "markdown"]) -> None:
    """Compute the tables of a suite from its per-case records, write them into RUNS/<suite>/leaderboard, print them.

    Needs no data and no weights: the same records give the same tables, byte for byte.
    """
    from harness.cli.report import show_leaderboard
    from harness.execute.records import open_records

    show_leaderboard(open_records(suite, runs), form)
