"""`harness clean`: checkpoints of finished units."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import runs_option, say, suite_option


@click.command()
@suite_option
@runs_option
@click.option("--yes", is_flag=True, help="Delete; without it, only show what would be deleted.")
def command(suite: str, runs: Path, yes: bool) -> None:
    """Delete the checkpoints of a suite's finished units: their weights go, every record stays.

    `replay` trains the same weights again. Units that failed or are not finished keep their checkpoints.
    """
    from harness.records.clean import delete, leftovers
    from harness.records.reader import SuiteRecords
    from harness.suite.recorded import open_records

    files = leftovers(SuiteRecords(open_records(suite, runs)))
    for file in files:
        click.echo(f"{file.size_bytes:>12}  {file.path}")
    if yes:
        delete(files)
    total = f"{len(files)} files, {sum(file.size_bytes for file in files) / 1e6:.1f} MB"
    say(f"deleted {total}" if yes else f"would delete {total}; nothing was deleted, say --yes to do so")
