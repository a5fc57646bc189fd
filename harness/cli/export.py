"""`harness export`: records into one file."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import runs_option, say, suite_option


@click.command()
@suite_option
@runs_option
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A .tar.gz file; .tar.xz is smaller.",
)
@click.option("--no-history", is_flag=True, help="Leave out the losses of every step: tables need none, replay does.")
@click.option("--no-predictions", is_flag=True, help="Leave out label maps: tables need none, pictures do.")
def command(suite: str, runs: Path, file: Path, no_history: bool, no_predictions: bool) -> None:
    """Pack a suite's records, without weights, logs and scans, into one file to share.

    Whoever imports it gets the same leaderboard. The same records give the same bytes. Environment records name the
    host, its processor and the versions that ran.
    """
    from harness.records.archive import export_records
    from harness.records.reader import SuiteRecords
    from harness.suite.recorded import open_records

    store = open_records(suite, runs)
    count = export_records(SuiteRecords(store), file, history=not no_history, predictions=not no_predictions)
    say(f"{file}: {count} records, {file.stat().st_size / 1e6:.2f} MB")
